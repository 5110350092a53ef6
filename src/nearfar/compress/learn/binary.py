"""Bits that learn: planes that cut the documents, and what each bit stands for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nearfar.compress.codec import Sample
from nearfar.compress.learn.loop import learn
from nearfar.compress.learn.scale import nearest_scale
from nearfar.compress.learned_binary import BITS, Bits

RATE = 1e-2  # of planes, whose hidden values have variance 1 at the start
VALUES_RATE = 2e-4
RECONSTRUCTION = 0.0  # what comes nearest to the documents ranks them worse
TINY = 1e-6


class Planes:
    """Planes (n, d) and thresholds (n,) that make the bits, and the values (n, d) that these stand for."""

    def __init__(self, vectors: Tensor, bits: int, generator: torch.Generator) -> None:
        planes, thresholds = start_planes(vectors, bits, generator)
        _, scale = nearest_scale(_signs(vectors @ planes.T - thresholds) @ planes, vectors)
        self.values = nn.Parameter(scale * planes)
        self.planes, self.thresholds = nn.Parameter(planes), nn.Parameter(thresholds)

    def groups(self) -> list[tuple[nn.Parameter, float]]:
        return [(self.planes, RATE), (self.thresholds, RATE), (self.values, VALUES_RATE)]

    def codes(self, documents: Tensor) -> Tensor:
        with torch.no_grad():
            return _signs(self._hidden(documents))

    def quantised(self, documents: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Straight through: the bits' gradient goes to tanh of what they are the signs of."""
        soft = torch.tanh(self._hidden(documents))
        standing = (codes + soft - soft.detach()) @ self.values
        return standing, (standing - documents).square().sum(dim=1)

    def mapped(self, queries: Tensor) -> Tensor:
        return queries

    def _hidden(self, documents: Tensor) -> Tensor:
        return documents @ self.planes.T - self.thresholds


def _signs(hidden: Tensor) -> Tensor:
    return torch.where(hidden > 0, 1.0, -1.0)


def start_planes(vectors: Tensor, bits: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Planes (n, d) and thresholds (n,) of vectors (·, d): principal axes, as many as bits or all, turned at random.

    The rotation, with more rows than columns where there are more bits than dimensions, gives each bit as much of the
    variance. Iterative quantization (Gong and Lazebnik, 2011) goes on from it to the rotation that is nearest to signs:
    the bits come nearer to the documents, and rank them better on one set of data and worse on another.
    """
    mean = vectors.mean(dim=0)
    centred = vectors - mean
    axes = torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(1)[:, :bits]  # (d, k)
    rotation = torch.linalg.qr(torch.randn(bits, axes.shape[1], generator=generator)).Q  # (n, k)
    planes = rotation @ axes.T
    planes = planes / (centred @ planes.T).square().mean().sqrt().clamp(min=TINY)
    return planes, planes @ mean


def fit(sample: Sample, size_bytes: int) -> Bits:
    """Start from principal axes turned at random, and learn planes and values."""
    documents = torch.tensor(sample.vectors)
    planes = Planes(documents, BITS * size_bytes, torch.Generator().manual_seed(sample.seed))
    learn(planes, sample, reconstruction=RECONSTRUCTION)
    with torch.no_grad():
        base, scale = nearest_scale(planes.codes(documents) @ planes.values, documents)
        arrays = (planes.planes, planes.thresholds, base, scale * planes.values)
    return Bits(*(array.detach().numpy() for array in arrays))
