"""Many centroids in a tree of two levels, so that the nearest one is found without looking at all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nearfar.compress.codec import Vectors

VISITED = 8  # cells, the nearest ones, whose centroids are compared with a vector
BLOCK_ROWS = 1 << 15


@dataclass(frozen=True)
class Tree:
    """Centroids (K, d), sorted by the cell that each belongs to."""

    centroids: Vectors  # (K, d)
    cells: Vectors  # (C, d) centres
    offsets: NDArray[np.int64]  # (C + 1,): centroids offsets[c] to offsets[c + 1] are those of cell c

    def nearest(self, vectors: Vectors) -> NDArray[np.int64]:
        """The nearest centroid of each vector (n, d) among those of the nearest cells, (n,)."""
        blocks = [self._nearest(vectors[start : start + BLOCK_ROWS]) for start in range(0, len(vectors), BLOCK_ROWS)]
        return np.concatenate([np.empty(0, np.int64), *blocks])

    def _nearest(self, vectors: Vectors) -> NDArray[np.int64]:
        visited = min(VISITED, len(self.cells))
        apart = self._halves(self.cells) - vectors @ self.cells.T
        near = np.argpartition(apart, visited - 1, axis=1)[:, :visited]
        best, found = np.full(len(vectors), -np.inf, np.float32), np.zeros(len(vectors), np.int64)
        by_cell = np.argsort(near, axis=None, kind="stable")
        bounds = np.searchsorted(near.ravel()[by_cell], np.arange(len(self.cells) + 1))
        for cell in range(len(self.cells)):
            rows = by_cell[bounds[cell] : bounds[cell + 1]] // visited
            inside = slice(self.offsets[cell], self.offsets[cell + 1])
            if not len(rows) or inside.start == inside.stop:
                continue
            scores = vectors[rows] @ self.centroids[inside].T - self._lengths[inside]
            place = scores.argmax(axis=1)
            better = (score := scores[np.arange(len(rows)), place]) > best[rows]
            best[rows[better]], found[rows[better]] = score[better], inside.start + place[better]
        return found

    @cached_property
    def _lengths(self) -> Vectors:
        return self._halves(self.centroids)

    @staticmethod
    def _halves(centroids: Vectors) -> Vectors:
        """Half of the squared lengths: q·c − ‖c‖²/2 is the largest where ‖q − c‖ is the least."""
        halves: Vectors = np.square(centroids).sum(axis=1) / 2
        return halves
