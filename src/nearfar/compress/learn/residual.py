"""Residual codebooks that learn."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nearfar.compress.codec import Sample
from nearfar.compress.learn.balance import balanced
from nearfar.compress.learn.centroids import Centroids
from nearfar.compress.learn.loop import learn
from nearfar.compress.learn.residual_start import start_residual
from nearfar.compress.learning import Learning
from nearfar.compress.mapped import Mapped
from nearfar.compress.residual import Residual

RATE = 5e-4
MAP_RATE = 1e-4


class Books:
    """Residual codebooks (M, K, d) and a map of queries that learn."""

    def __init__(self, codebooks: Tensor, learning: Learning) -> None:
        self.centroids = Centroids(codebooks, learning)
        self.balance = learning.balance
        self.query_map = torch.eye(codebooks.shape[2]).requires_grad_()

    def groups(self) -> list[tuple[list[Tensor], float]]:
        return [(self.centroids.learning(), RATE), ([self.query_map], MAP_RATE)]

    def codes(self, documents: Tensor) -> Tensor:
        books = self.centroids.now().detach()
        if self.balance:
            return _greedy(documents, books, self.balance)
        return torch.from_numpy(Residual(books.numpy()).encode(documents.numpy()).astype(np.int64))

    def quantised(self, documents: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        standing = self._standing(codes)
        return standing, (standing - documents).square().sum(dim=1).mean()

    def mapped(self, queries: Tensor) -> Tensor:
        return queries @ self.query_map.T

    def anchors(self, documents: Tensor, codes: Tensor, rows: Tensor) -> Tensor:
        """What documents (n, d) with these codes leave to each codebook, of drawn rows (M, K); (M, K, d)."""
        now = self.centroids.now().detach()
        left = documents - self._standing(codes).detach()
        return torch.stack([left[row] + book[code[row]] for row, book, code in zip(rows, now, codes.T, strict=True)])

    def count(self, codes: Tensor) -> None:
        self.centroids.count(codes)

    def codec(self) -> Mapped:
        """What has been learnt."""
        return Mapped(None, self.query_map.detach().numpy(), Residual(self.centroids.now().detach().numpy()))

    def _standing(self, codes: Tensor) -> Tensor:
        now = self.centroids.now()
        rows = codes + torch.arange(now.shape[0]) * now.shape[1]
        return functional.embedding_bag(rows, now.flatten(0, 1), mode="sum")


def fit(sample: Sample, size_bytes: int) -> Mapped:
    """Codebooks of `size_bytes` centroids a vector, and the map of the queries that they are asked by."""
    start = start_residual(torch.tensor(sample.vectors), size_bytes, torch.Generator().manual_seed(sample.seed))
    books = Books(start, sample.learning)
    learn(books, sample)
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
