"""Rows of different lengths in two flat arrays: token ids, judged documents, positives of a query."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ragged:
    """`values[offsets[i]:offsets[i + 1]]` is row i (the CSR layout without column count)."""

    offsets: NDArray[np.int64]  # (rows + 1,)
    values: NDArray[np.int32]  # (offsets[-1],), may be memory-mapped

    @classmethod
    def of(cls, rows: Iterable[Sequence[int] | NDArray[np.int32]]) -> Ragged:
        """Build from one sequence of integers a row."""
        arrays = [np.asarray(row, dtype=np.int32) for row in rows]
        values = np.concatenate(arrays) if arrays else np.empty(0, np.int32)
        return cls(offsets_of(np.fromiter(map(len, arrays), np.int64, len(arrays))), values)

    @classmethod
    def from_pairs(cls, rows: NDArray[np.int32], values: NDArray[np.int32], count: int) -> Ragged:
        """Group the pairs (rows[i], values[i]) by row; `count` is the number of rows, order within a row is kept."""
        order = np.argsort(rows, kind="stable")
        return cls(offsets_of(np.bincount(rows, minlength=count)), values[order])

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[NDArray[np.int32]]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, row: int) -> NDArray[np.int32]:
        row = range(len(self))[row]  # negative rows count from the end, as everywhere
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Length of each row, (rows,)."""
        return np.diff(self.offsets)

    def rows(self, start: int, stop: int) -> Ragged:
        """The rows start ≤ i < stop, sharing memory."""
        offsets = self.offsets[start : stop + 1]
        return Ragged(offsets - offsets[0], self.values[offsets[0] : offsets[-1]])

    def take(self, rows: NDArray[np.integer[Any]]) -> Ragged:
        """These rows, in this order; a row may be taken more than once."""
        offsets = offsets_of(self.lengths[rows])
        shift = np.repeat(self.offsets[rows] - offsets[:-1], np.diff(offsets))
        return Ragged(offsets, self.values[np.arange(offsets[-1]) + shift])

    def followed_by(self, other: Ragged) -> Ragged:
        """These rows, then those of another."""
        offsets = np.concatenate([self.offsets, self.offsets[-1] + other.offsets[1:]])
        return Ragged(offsets, np.concatenate([self.values, other.values]))

    def places(self) -> NDArray[np.int64]:
        """The place of each value in its row, from 0, (offsets[-1],)."""
        return np.arange(self.offsets[-1]) - np.repeat(self.offsets[:-1], self.lengths)

    def row_of_value(self) -> NDArray[np.int64]:
        """The row each value belongs to, (offsets[-1],)."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def dense(self, columns: int) -> NDArray[np.bool_]:
        """Boolean matrix (rows, columns) that is true at each value."""
        matrix = np.zeros((len(self), columns), dtype=np.bool_)
        matrix[self.row_of_value(), self.values] = True
        return matrix


def offsets_of(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Offsets (n + 1,) of rows with these lengths (n,)."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
