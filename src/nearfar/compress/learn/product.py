"""Product codebooks that learn, with the rotation before them."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.compress.codec import Sample
from nearfar.compress.learn.balance import balanced
from nearfar.compress.learn.centroids import Centroids
from nearfar.compress.learn.loop import learn
from nearfar.compress.learning import Learning
from nearfar.compress.mapped import Mapped
from nearfar.compress.optimized import OPQ
from nearfar.compress.product import Product

RATE = 1e-3
MAP_RATE = 2e-4


class Books:
    """Centroids (M, K, d_sub), the rotation before them and a map of queries, which learn."""

    def __init__(self, centroids: Tensor, rotation: Tensor, learning: Learning) -> None:
        self.centroids = Centroids(centroids, learning)
        self.balance = learning.balance
        self.rotation = rotation.clone().requires_grad_()
        self.query_map = rotation.clone().requires_grad_()

    def groups(self) -> list[tuple[list[Tensor], float]]:
        return [(self.centroids.learning(), RATE), ([self.rotation, self.query_map], MAP_RATE)]

    def codes(self, documents: Tensor) -> Tensor:
        with torch.no_grad():
            points, now = self._turned(documents).transpose(0, 1), self.centroids.now()  # (M, n, d_sub)
            errors = now.square().sum(dim=2)[:, None] - 2 * (points @ now.mT)
            if not self.balance:
                return errors.argmin(dim=2).T
            errors = errors + points.square().sum(dim=2, keepdim=True)
            return torch.stack([balanced(part, self.balance) for part in errors], dim=1)

    def quantised(self, documents: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Straight through: the gradient of ŷ goes to its centroids, and to y as if it were ŷ (van den Oord, 2017)."""
        turned, now = self._turned(documents), self.centroids.now()
        chosen = now[torch.arange(len(now)), codes]  # (n, M, d_sub)
        error = (chosen - turned).square().sum(dim=(1, 2)).mean()
        return (chosen + turned - turned.detach()).flatten(1), error

    def mapped(self, queries: Tensor) -> Tensor:
        return queries @ self.query_map.T

    def anchors(self, documents: Tensor, codes: Tensor, rows: Tensor) -> Tensor:  # noqa: ARG002 (groups are apart)
        """Parts of documents (n, d), of drawn rows (M, K); (M, K, d_sub)."""
        turned = self._turned(documents).detach()
        return turned[rows, torch.arange(len(rows))[:, None]]

    def count(self, codes: Tensor) -> None:
        self.centroids.count(codes)

    def codec(self) -> Mapped:
        """What has been learnt."""
        rotation, query_map, centroids = (
            tensor.detach().numpy() for tensor in (self.rotation, self.query_map, self.centroids.now())
        )
        return Mapped(rotation, query_map, Product(len(rotation), centroids))

    def _turned(self, documents: Tensor) -> Tensor:
        books, _, width = self.centroids.now().shape
        return (documents @ self.rotation.T).view(len(documents), books, width)


def fit(sample: Sample, size_bytes: int) -> Mapped:
    """Start from OPQ, and learn its centroids, its rotation of documents, and another of queries."""
    start = OPQ.fit(sample, size_bytes).state()
    books = Books(torch.tensor(start["inner.centroids"]), torch.tensor(start["matrix"]), sample.learning)
    learn(books, sample)
    return books.codec()
