"""Residual codebooks that learn."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nearfar.compress.codec import Sample
from nearfar.compress.learn.loop import Objective, learn
from nearfar.compress.learn.residual_start import start_residual
from nearfar.compress.mapped import Mapped
from nearfar.compress.residual import Residual

RATE = 5e-4
MAP_RATE = 1e-4


class Books:
    """Residual codebooks (M, K, d) and a map of queries that learn."""

    def __init__(self, codebooks: Tensor) -> None:
        self.codebooks = codebooks.requires_grad_()
        self.query_map = torch.eye(codebooks.shape[2]).requires_grad_()

    def groups(self) -> list[tuple[Tensor, float]]:
        return [(self.codebooks, RATE), (self.query_map, MAP_RATE)]

    def codes(self, documents: Tensor) -> Tensor:
        found = Residual(self.codebooks.detach().numpy()).encode(documents.numpy())
        return torch.from_numpy(found.astype(np.int64))

    def quantised(self, documents: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        books, centroids, _ = self.codebooks.shape
        rows = codes + torch.arange(books) * centroids
        standing = functional.embedding_bag(rows, self.codebooks.flatten(0, 1), mode="sum")
        return standing, (standing - documents).square().sum(dim=1).mean()

    def mapped(self, queries: Tensor) -> Tensor:
        return queries @ self.query_map.T


def fit(sample: Sample, size_bytes: int) -> Mapped:
    """Codebooks of `size_bytes` centroids a vector, and the map of the queries that they are asked by."""
    vectors = torch.tensor(sample.vectors)
    books = Books(start_residual(vectors, size_bytes, torch.Generator().manual_seed(sample.seed)))
    learn(books, sample, Objective())
    return Mapped(None, books.query_map.detach().numpy(), Residual(books.codebooks.detach().numpy()))
