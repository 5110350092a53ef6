"""Product codebooks that learn, with the rotation before them."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.compress.codec import Sample
from nearfar.compress.learn.loop import Objective, learn
from nearfar.compress.mapped import Mapped
from nearfar.compress.optimized import OPQ
from nearfar.compress.product import Product

RATE = 1e-3
MAP_RATE = 2e-4


class Books:
    """Centroids (M, K, d_sub), the rotation before them and a map of queries, which learn."""

    def __init__(self, centroids: Tensor, rotation: Tensor) -> None:
        self.centroids = centroids.requires_grad_()
        self.rotation = rotation.clone().requires_grad_()
        self.query_map = rotation.clone().requires_grad_()

    def groups(self) -> list[tuple[Tensor, float]]:
        return [(self.centroids, RATE), (self.rotation, MAP_RATE), (self.query_map, MAP_RATE)]

    def codes(self, documents: Tensor) -> Tensor:
        with torch.no_grad():
            points = self._turned(documents).transpose(0, 1)  # (M, n, d_sub)
            lengths = self.centroids.square().sum(dim=2)[:, None] / 2
            return (points @ self.centroids.mT - lengths).argmax(dim=2).T

    def quantised(self, documents: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Straight through: the gradient of ŷ goes to its centroids, and to y as if it were ŷ (van den Oord, 2017)."""
        turned = self._turned(documents)
        chosen = self.centroids[torch.arange(len(self.centroids)), codes]  # (n, M, d_sub)
        error = (chosen - turned).square().sum(dim=(1, 2)).mean()
        return (chosen + turned - turned.detach()).flatten(1), error

    def _turned(self, documents: Tensor) -> Tensor:
        books, _, width = self.centroids.shape
        return (documents @ self.rotation.T).view(len(documents), books, width)

    def mapped(self, queries: Tensor) -> Tensor:
        return queries @ self.query_map.T


def fit(sample: Sample, size_bytes: int) -> Mapped:
    """Start from OPQ, and learn its centroids, its rotation of documents, and another of queries."""
    start = OPQ.fit(sample, size_bytes).state()
    books = Books(torch.tensor(start["inner.centroids"]), torch.tensor(start["matrix"]))
    learn(books, sample, Objective())
    rotation, query_map, centroids = (
        tensor.detach().numpy() for tensor in (books.rotation, books.query_map, books.centroids)
    )
    return Mapped(rotation, query_map, Product(len(rotation), centroids))
