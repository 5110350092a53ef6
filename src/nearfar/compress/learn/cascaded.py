"""Residual codebooks that learn behind a large frozen one."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.compress.codec import Sample
from nearfar.compress.learn.loop import learn
from nearfar.compress.learn.residual import ResidualBooks
from nearfar.compress.learn.residual_start import start_residual
from nearfar.compress.learn.tree import tree_of
from nearfar.compress.learned_cascade import FIRST_BYTES, Cascaded
from nearfar.compress.learning import Learning
from nearfar.compress.tree import Tree


class CascadedBooks(ResidualBooks):
    """Codes (n, 1 + M): the centroid of the tree, which stays, and those of residual codebooks, which learn."""

    def __init__(self, tree: Tree, codebooks: Tensor, learning: Learning) -> None:
        super().__init__(codebooks, learning=learning)
        self.tree, self.first = tree, torch.from_numpy(tree.centroids)

    def codes(self, documents: Tensor) -> Tensor:
        first = torch.from_numpy(self.tree.nearest(documents.numpy()))
        return torch.cat([first[:, None], super().codes(documents - self.first[first])], dim=1)

    def quantised(self, documents: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        base = self.first[codes[:, 0]]
        standing, errors = super().quantised(documents - base, codes[:, 1:])
        return base + standing, errors

    def names(self, codes: Tensor) -> Tensor:
        return codes[:, 1:]

    def anchors(self, documents: Tensor, codes: Tensor, rows: Tensor) -> Tensor:
        return super().anchors(documents - self.first[codes[:, 0]], codes[:, 1:], rows)


def fit(sample: Sample, size_bytes: int) -> Cascaded:
    """A tree of the documents, and codebooks of one byte each for the rest."""
    vectors, generator = torch.tensor(sample.vectors), torch.Generator().manual_seed(sample.seed)
    tree = tree_of(vectors, generator)
    left = vectors - torch.from_numpy(tree.centroids[tree.nearest(sample.vectors)])
    books = CascadedBooks(tree, start_residual(left, size_bytes - FIRST_BYTES, generator), sample.learning)
    learn(books, sample)
    return Cascaded(tree, books.codec())
