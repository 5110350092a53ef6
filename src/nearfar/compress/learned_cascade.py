"""Cascaded codebooks: one of up to 65,536 frozen centroids, and residual codebooks that learn what it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearfar.compress.check import as_codes, as_vectors
from nearfar.compress.codec import Codes, Kind, Sample, State, Vectors, inner_of, with_inner
from nearfar.compress.learning import ALL
from nearfar.compress.mapped import Mapped, restoring
from nearfar.compress.product import fewest
from nearfar.compress.residual import MOST, restore_residual
from nearfar.compress.tree import Tree

FIRST_BYTES = 2  # of the first centroid's number


@dataclass(frozen=True)
class Cascaded:
    """A vector stands for c + r̂: the nearest centroid c of a tree, and the code of what it leaves, x − c."""

    tree: Tree
    inner: Mapped  # of x − c

    @property
    def dimension(self) -> int:
        return self.inner.dimension

    @property
    def size_bytes(self) -> int:
        return FIRST_BYTES + self.inner.size_bytes

    def encode(self, vectors: Vectors) -> Codes:
        vectors = as_vectors(vectors, self.dimension)
        first = self.tree.nearest(vectors)
        rest = self.inner.encode(vectors - self.tree.centroids[first])
        return np.hstack([first.astype("<u2")[:, None].view(np.uint8), rest])

    def decode(self, codes: Codes) -> Vectors:
        first, rest = self._parted(codes)
        base: Vectors = self.tree.centroids[first] @ self.inner.query_map
        return base + self.inner.decode(rest)

    def score(self, queries: Vectors, codes: Codes) -> Vectors:
        queries = as_vectors(queries, self.dimension)
        first, rest = self._parted(codes)
        named, place = np.unique(first, return_inverse=True)
        turned: Vectors = queries @ self.inner.query_map.T
        base: Vectors = turned @ self.tree.centroids[named].T
        return base[:, place] + self.inner.score(queries, rest)

    def state(self) -> State:
        return with_inner({"centroids": self.tree.centroids, "cells": self.tree.cells,
                           "offsets": self.tree.offsets}, self.inner)  # fmt: skip

    def _parted(self, codes: Codes) -> tuple[NDArray[np.uint16], Codes]:
        codes = as_codes(codes, self.size_bytes)
        first = np.ascontiguousarray(codes[:, :FIRST_BYTES]).view("<u2")[:, 0]
        return first, np.ascontiguousarray(codes[:, FIRST_BYTES:])


def _fit(sample: Sample, size_bytes: int) -> Cascaded:
    from nearfar.compress.learn.cascaded import fit  # torch: a fitted codec needs none

    return fit(sample, size_bytes)


def _sizes(dimension: int) -> Sequence[int]:
    return range(FIRST_BYTES + 1, FIRST_BYTES + min(dimension, MOST) + 1)


def _restore(state: State) -> Cascaded:
    centroids, cells = (state[name].astype(np.float32) for name in ("centroids", "cells"))
    tree = Tree(centroids, cells, state["offsets"].astype(np.int64))
    return Cascaded(tree, restoring(restore_residual)(inner_of(state)))


LEARNED_CASCADE = Kind(
    "a large frozen codebook before learnt residual ones: for a million documents and more",
    "after UniCode² (Chan et al., 2025) and VQGAN-LC (Zhu et al., 2024), on residual codes (Chen et al., 2010)",
    _sizes, _fit, _restore, lambda _: fewest(1), learned=True,
    settings=ALL)  # fmt: skip
