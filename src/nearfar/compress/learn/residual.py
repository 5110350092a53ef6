"""Residual codebooks that learn."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nearfar.compress.codec import Sample
from nearfar.compress.learn.loop import Objective, array, learn
from nearfar.compress.learn.residual_start import start_residual
from nearfar.compress.mapped import Mapped
from nearfar.compress.residual import Residual

RATE = 5e-4
MAP_RATE = 1e-4


class Books(nn.Module):
    """Residual codebooks (M, K, d) and a map of queries (d, d) that learn."""

    rotation = None  # documents stay as they are

    def __init__(self, codebooks: Tensor, query_map: Tensor | None = None) -> None:
        super().__init__()
        self.codebooks = nn.Parameter(codebooks)
        self.query_map = nn.Parameter(torch.eye(codebooks.shape[2]) if query_map is None else query_map)

    def groups(self) -> list[tuple[nn.Parameter, float]]:
        return [(self.codebooks, RATE), (self.query_map, MAP_RATE)]

    def codes(self, documents: Tensor) -> Tensor:
        found = self.codec().encode(documents.detach().cpu().numpy())
        return torch.from_numpy(found.astype(np.int64)).to(documents.device)

    def quantised(self, documents: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Straight through: the gradient of ŷ goes to its centroids, and to y as if it were ŷ (van den Oord, 2017)."""
        books, centroids, _ = self.codebooks.shape
        rows = codes + torch.arange(books, device=codes.device) * centroids
        standing = functional.embedding_bag(rows, self.codebooks.flatten(0, 1), mode="sum")
        return standing + (documents - documents.detach()), (standing - documents).square().sum(dim=1)

    def mapped(self, queries: Tensor) -> Tensor:
        return queries @ self.query_map.T

    def codec(self) -> Mapped:
        return Mapped(None, array(self.query_map), Residual(array(self.codebooks)))


def fit(sample: Sample, size_bytes: int) -> Mapped:
    """Codebooks of `size_bytes` centroids a vector, and the map of the queries that they are asked by."""
    vectors = torch.tensor(sample.vectors)
    books = Books(start_residual(vectors, size_bytes, torch.Generator().manual_seed(sample.seed)))
    learn(books, sample, Objective())
    return books.codec()
