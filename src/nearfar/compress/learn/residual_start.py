"""The start of residual codebooks: each fitted to what a beam of partial codes leaves."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.compress.learn.kmeans import progressive_kmeans
from nearfar.compress.product import K

BEAM = 4  # partial codes kept of each vector
MOST_VECTORS = 32_768  # looked at
MOST_POINTS = 256  # of a centroid
BLOCK_ROWS = 2048


def start_residual(vectors: Tensor, codebooks: int, generator: torch.Generator) -> Tensor:
    """Codebooks (M, K, d) of vectors (n, d), n ≥ K: progressive k-means of the residuals of all partial codes kept.

    As FAISS fits its residual quantizer; residuals of the whole beam, not of the best code alone, make codebooks that
    suit beam search and vectors not seen.
    """
    vectors = vectors[torch.randperm(len(vectors), generator=generator)[:MOST_VECTORS]]
    residuals, errors = vectors[:, None], vectors.square().sum(dim=1, keepdim=True)  # (n, beam, d), (n, beam)
    found = []
    for _ in range(codebooks):
        flat = residuals.flatten(0, 1)
        points = flat[torch.randperm(len(flat), generator=generator)[: MOST_POINTS * K]]
        book = progressive_kmeans(points, K, generator)
        blocks = [_extended(*block, book)
                  for block in zip(residuals.split(BLOCK_ROWS), errors.split(BLOCK_ROWS), strict=True)]  # fmt: skip
        residuals, errors = (torch.cat(part) for part in zip(*blocks, strict=True))
        found.append(book)
    return torch.stack(found)


def _extended(residuals: Tensor, errors: Tensor, book: Tensor) -> tuple[Tensor, Tensor]:
    """The best partial codes with one more centroid: their residuals (n, beam, d) and squared errors (n, beam)."""
    after = errors[:, :, None] + book.square().sum(dim=1) - 2 * (residuals @ book.T)  # (n, beam, K)
    kept, place = after.flatten(1).topk(BEAM, largest=False)
    parent, centroid = place // K, place % K
    index = parent[:, :, None].expand(-1, -1, residuals.shape[2])
    return residuals.gather(1, index) - book[centroid], kept
