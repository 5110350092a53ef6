"""Product codebooks that learn, with the rotation before them."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from nearfar.compress.codec import Sample
from nearfar.compress.learn.balance import balanced
from nearfar.compress.learn.centroids import Centroids
from nearfar.compress.learn.loop import learn
from nearfar.compress.learn.trainable import Books, array
from nearfar.compress.learning import DEFAULT, Learning
from nearfar.compress.mapped import Mapped
from nearfar.compress.optimized import OPQ
from nearfar.compress.product import Product

RATE = 1e-3
MAP_RATE = 2e-4


class ProductBooks(Books):
    """Centroids (M, K, d_sub), the rotation before them and a map of queries (d', d), which learn."""

    def __init__(
        self, centroids: Tensor, rotation: Tensor, query_map: Tensor | None = None, learning: Learning = DEFAULT
    ) -> None:
        super().__init__()
        self.centroids = Centroids(centroids, learning)
        self.balance = learning.balance
        self.rotation = nn.Parameter(rotation.clone())
        self.query_map = nn.Parameter((rotation if query_map is None else query_map).clone())

    def groups(self) -> list[tuple[nn.Parameter, float]]:
        maps = [(self.rotation, MAP_RATE), (self.query_map, MAP_RATE)]
        return [*((tensor, RATE) for tensor in self.centroids.learning()), *maps]

    def codes(self, documents: Tensor) -> Tensor:
        with torch.no_grad():
            points, books = self._turned(documents).transpose(0, 1), self.centroids()  # (M, n, d_sub)
            errors = points.square().sum(dim=2, keepdim=True) + books.square().sum(dim=2)[:, None]
            errors = errors - 2 * (points @ books.mT)
            assign = partial(balanced, epsilon=self.balance) if self.balance else partial(torch.argmin, dim=1)
            return torch.stack([assign(part) for part in errors], dim=1)

    def quantised(self, documents: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Straight through: the gradient of ŷ goes to its centroids, and to y as if it were ŷ (van den Oord, 2017)."""
        turned, books = self._turned(documents), self.centroids()
        chosen = books[torch.arange(len(books), device=codes.device), codes]  # (n, M, d_sub)
        error = (chosen - turned).square().sum(dim=(1, 2))
        return (chosen + (turned - turned.detach())).flatten(1), error

    def anchors(self, documents: Tensor, codes: Tensor, rows: Tensor) -> Tensor:  # noqa: ARG002 (groups are apart)
        """Parts of documents (n, d), of drawn rows (M, K); (M, K, d_sub)."""
        turned = self._turned(documents).detach()
        return turned[rows, torch.arange(len(rows))[:, None]]

    def before(self) -> list[nn.Parameter]:
        return [self.rotation]

    def codec(self) -> Mapped:
        rotation = array(self.rotation)
        return Mapped(rotation, array(self.query_map), Product(len(rotation), array(self.centroids())))

    def _turned(self, documents: Tensor) -> Tensor:
        books, _, width = self.centroids().shape
        return (documents @ self.rotation.T).view(len(documents), books, width)


def fit(sample: Sample, size_bytes: int) -> Mapped:
    """Start from OPQ, and learn its centroids, its rotation of documents, and another of queries."""
    start = OPQ.fit(sample, size_bytes).state()
    books = ProductBooks(
        torch.tensor(start["inner.centroids"]), torch.tensor(start["matrix"]), learning=sample.learning
    )
    learn(books, sample)
    return books.codec()
