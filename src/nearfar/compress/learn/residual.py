"""Residual codebooks that learn."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nearfar.compress.codec import Sample
from nearfar.compress.learn.balance import balanced
from nearfar.compress.learn.centroids import Centroids
from nearfar.compress.learn.loop import STEPS, learn
from nearfar.compress.learn.residual_start import start_residual
from nearfar.compress.learn.trainable import Books, array
from nearfar.compress.learning import DEFAULT, Learning
from nearfar.compress.mapped import Mapped
from nearfar.compress.residual import Residual

RATE = 5e-4
MAP_RATE = 1e-4
CLUSTERED = (
    32  # bytes from which codebooks stay as clustering made them: as good or better on dev queries of three sets
)


class ResidualBooks(Books):
    """Residual codebooks (M, K, d) and a map of queries (d, d) that learn."""

    def __init__(self, codebooks: Tensor, query_map: Tensor | None = None, learning: Learning = DEFAULT) -> None:
        super().__init__()
        self.centroids = Centroids(codebooks, learning)
        self.balance = learning.balance
        self.query_map = nn.Parameter(torch.eye(codebooks.shape[2]) if query_map is None else query_map)

    def groups(self) -> list[tuple[nn.Parameter, float]]:
        return [*((tensor, RATE) for tensor in self.centroids.learning()), (self.query_map, MAP_RATE)]

    def codes(self, documents: Tensor) -> Tensor:
        if self.balance:
            return _greedy(documents.detach(), self.centroids().detach(), self.balance)
        found = Residual(array(self.centroids())).encode(array(documents))
        return torch.from_numpy(found.astype(np.int64)).to(documents.device)

    def quantised(self, documents: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Straight through: the gradient of ŷ goes to its centroids, and to y as if it were ŷ (van den Oord, 2017)."""
        standing = self._standing(codes)
        return standing + (documents - documents.detach()), (standing - documents).square().sum(dim=1)

    def anchors(self, documents: Tensor, codes: Tensor, rows: Tensor) -> Tensor:
        """What documents (n, d) with these codes leave to each codebook, of drawn rows (M, K); (M, K, d)."""
        left = documents - self._standing(codes).detach()
        books = self.centroids().detach()
        return torch.stack([left[row] + book[code[row]] for row, book, code in zip(rows, books, codes.T, strict=True)])

    def codec(self) -> Mapped:
        return Mapped(None, array(self.query_map), Residual(array(self.centroids())))

    def _standing(self, codes: Tensor) -> Tensor:
        books = self.centroids()
        rows = codes + torch.arange(len(books), device=codes.device) * books.shape[1]
        return functional.embedding_bag(rows, books.flatten(0, 1), mode="sum")


def fit(sample: Sample, size_bytes: int) -> Mapped:
    """Codebooks of `size_bytes` centroids a vector, and the map of the queries that they are asked by.

    Many bytes are not learnt unless the sample says how.
    """
    start = start_residual(torch.tensor(sample.vectors), size_bytes, torch.Generator().manual_seed(sample.seed))
    books = ResidualBooks(start, learning=sample.learning)
    learn(books, sample, steps=STEPS if size_bytes < CLUSTERED or sample.learning != DEFAULT else 0)
    return books.codec()


def _greedy(documents: Tensor, books: Tensor, epsilon: float) -> Tensor:
    """Balanced codes (n, M), one codebook after the other."""
    left, codes = documents, []
    for book in books:
        errors = left.square().sum(dim=1, keepdim=True) + book.square().sum(dim=1) - 2 * left @ book.T
        code = balanced(errors, epsilon)
        codes.append(code)
        left = left - book[code]
    return torch.stack(codes, dim=1)
