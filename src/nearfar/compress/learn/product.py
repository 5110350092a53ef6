"""Product codebooks that learn, with the rotation before them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nearfar.compress.codec import Sample
from nearfar.compress.learn.loop import Objective, array, learn
from nearfar.compress.mapped import Mapped
from nearfar.compress.optimized import OPQ
from nearfar.compress.product import Product

RATE = 1e-3
MAP_RATE = 2e-4


class Books(nn.Module):
    """Centroids (M, K, d_sub), the rotation before them and a map of queries (d', d), which learn."""

    def __init__(self, centroids: Tensor, rotation: Tensor, query_map: Tensor | None = None) -> None:
        super().__init__()
        self.centroids = nn.Parameter(centroids)
        self.rotation = nn.Parameter(rotation.clone())
        self.query_map = nn.Parameter((rotation if query_map is None else query_map).clone())

    def groups(self) -> list[tuple[nn.Parameter, float]]:
        return [(self.centroids, RATE), (self.rotation, MAP_RATE), (self.query_map, MAP_RATE)]

    def codes(self, documents: Tensor) -> Tensor:
        with torch.no_grad():
            points = self._turned(documents).transpose(0, 1)  # (M, n, d_sub)
            lengths = self.centroids.square().sum(dim=2)[:, None] / 2
            return (points @ self.centroids.mT - lengths).argmax(dim=2).T

    def quantised(self, documents: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Straight through: the gradient of ŷ goes to its centroids, and to y as if it were ŷ (van den Oord, 2017)."""
        turned = self._turned(documents)
        chosen = self.centroids[torch.arange(len(self.centroids), device=codes.device), codes]  # (n, M, d_sub)
        error = (chosen - turned).square().sum(dim=(1, 2))
        return (chosen + (turned - turned.detach())).flatten(1), error

    def _turned(self, documents: Tensor) -> Tensor:
        books, _, width = self.centroids.shape
        return (documents @ self.rotation.T).view(len(documents), books, width)

    def mapped(self, queries: Tensor) -> Tensor:
        return queries @ self.query_map.T

    def codec(self) -> Mapped:
        rotation = array(self.rotation)
        return Mapped(rotation, array(self.query_map), Product(len(rotation), array(self.centroids)))


def fit(sample: Sample, size_bytes: int) -> Mapped:
    """Start from OPQ, and learn its centroids, its rotation of documents, and another of queries."""
    start = OPQ.fit(sample, size_bytes).state()
    books = Books(torch.tensor(start["inner.centroids"]), torch.tensor(start["matrix"]))
    learn(books, sample, Objective())
    return books.codec()
