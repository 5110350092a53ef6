"""Kernels of a token table on a CPU: sums of rows by text and by token, over the different tokens of each text."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfar.core.compiled import compiled
from nearfar.core.threads import in_slices

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]
Entries = tuple[Ids, NDArray[np.int32], Floats]  # a sparse matrix by rows: offsets (rows + 1,), columns, values

kernel = compiled(fastmath={"contract"})  # all but the order of sums


@kernel
def means(ids: NDArray[Any], starts: NDArray[Any], rows: int) -> Entries:
    """The matrix (texts, tokens) of each token's share of its text; a token that comes again is in it once.

    Args:
        ids: (T,) tokens of all texts.
        starts: (texts,) where each text begins.
        rows: of the table.
    """
    place = np.full(rows, -1, np.int64)  # of a token in the text at hand, or in one before it
    offsets = np.zeros(len(starts) + 1, np.int64)
    tokens, shares = np.empty(len(ids), np.int32), np.empty(len(ids), np.float32)
    end = 0
    for text in range(len(starts)):
        begin = end
        stop = starts[text + 1] if text + 1 < len(starts) else len(ids)
        for i in range(starts[text], stop):
            token = ids[i]
            if place[token] < begin:
                place[token] = end
                tokens[end] = token
                shares[end] = 0
                end += 1
            shares[place[token]] += 1
        for i in range(begin, end):
            shares[i] /= stop - starts[text]
        offsets[text + 1] = end
    return offsets, tokens[:end], shares[:end]


@kernel
def transposed(offsets: Ids, columns: NDArray[np.int32], values: Floats, count: int) -> tuple[Ids, Entries]:
    """The rows of the transposed matrix that hold anything, in rising order, and their entries; a counting sort."""
    place = np.zeros(count, np.int64)
    for column in columns:
        place[column] += 1
    rows = np.flatnonzero(place)
    ends = np.zeros(len(rows) + 1, np.int64)
    for i, row in enumerate(rows):
        ends[i + 1] = ends[i] + place[row]
        place[row] = ends[i]
    texts, moved = np.empty(len(columns), np.int32), np.empty(len(columns), np.float32)
    for text in range(len(offsets) - 1):
        for i in range(offsets[text], offsets[text + 1]):
            to = place[columns[i]]
            texts[to] = text
            moved[to] = values[i]
            place[columns[i]] = to + 1
    return rows, (ends, texts, moved)


def product(entries: Entries, vectors: Floats, out: Floats, threads: int) -> None:
    """The sparse matrix times `vectors` (columns, d), into `out` (rows, d)."""
    in_slices(partial(_product, *entries, vectors, out), entries[0], threads)


@kernel
def _product(
    offsets: Ids, columns: NDArray[np.int32], values: Floats, vectors: Floats, out: Floats, start: int, stop: int
) -> None:
    for row in range(start, stop):
        total = out[row]
        total[:] = 0
        first, last = offsets[row], offsets[row + 1]
        whole = last - (last - first) % 4
        for i in range(first, whole, 4):  # four rows are on their way from memory at a time
            a, b, c, d = vectors[columns[i]], vectors[columns[i + 1]], vectors[columns[i + 2]], vectors[columns[i + 3]]
            p, q, r, s = values[i], values[i + 1], values[i + 2], values[i + 3]
            for j in range(len(total)):
                total[j] += (p * a[j] + q * b[j]) + (r * c[j] + s * d[j])
        for i in range(whole, last):
            a, p = vectors[columns[i]], values[i]
            for j in range(len(total)):
                total[j] += p * a[j]
