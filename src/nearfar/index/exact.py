"""Exact search: every vector is compared."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nearfar.core.errors import DimensionMismatch, FingerprintMismatch

BLOCK_SCORES = 1 << 23  # similarities held at once
BLOCK_ROWS = 1 << 14  # documents of a block at the least

Vectors = NDArray[np.float32]
Score = Callable[[slice, slice], Vectors]


def check_space(own: str, fingerprint: str) -> None:
    """Refuse queries of model `fingerprint` at an index of model `own`.

    Raises:
        FingerprintMismatch: they are not the same.
    """
    if fingerprint != own:
        raise FingerprintMismatch(
            f"index: expected queries of model {own}, found those of model {fingerprint}; "
            f"search with the index's own model, or build the index again with this one"
        )


def top_k(queries: Vectors, vectors: Vectors, k: int) -> tuple[NDArray[np.int32], Vectors]:
    """Exact k best rows of `vectors` (D, d) for each query (Q, d) by inner product, ties by lower row; two (Q, k).

    Raises:
        DimensionMismatch: the two have different d.
    """
    if queries.shape[1] != vectors.shape[1]:
        raise DimensionMismatch(
            f"expected {vectors.shape[1]}-d queries, found {queries.shape[1]}-d; encode with the index's own model"
        )
    return best(lambda part, rows: queries[part] @ vectors[rows].T, len(queries), len(vectors), k)


def best(score: Score, queries: int, documents: int, k: int) -> tuple[NDArray[np.int32], Vectors]:
    """Rows and scores of the k best of so many documents for each of so many queries, ties by lower row; two (Q, k).

    Args:
        score: slices of queries and of documents → scores (queries, documents) of that block.
    """
    k = min(k, documents)
    rows, scores = np.empty((queries, k), np.int32), np.empty((queries, k), np.float32)
    size = max(1, BLOCK_SCORES // max(1, min(documents, BLOCK_ROWS)))
    for start in range(0, queries, size):
        part = slice(start, min(start + size, queries))
        rows[part], scores[part] = _merged(score, part, documents, k)
    return rows, scores


def _merged(score: Score, part: slice, documents: int, k: int) -> tuple[NDArray[np.int32], Vectors]:
    """The best of every block of documents, merged; (n, k) both."""
    count = part.stop - part.start
    step = max(BLOCK_ROWS, BLOCK_SCORES // count)
    rows, scores = np.empty((count, 0), np.int32), np.empty((count, 0), np.float32)
    for start in range(0, documents, step):
        found, values = highest(score(part, slice(start, min(start + step, documents))), k)
        rows = np.concatenate([rows, found + np.int32(start)], axis=1)  # ascending rows: ties stay in order
        scores = np.concatenate([scores, values], axis=1)
        if rows.shape[1] > k:
            order, scores = highest(scores, k)
            rows = np.take_along_axis(rows, order, axis=1)
    return rows, scores


def highest(similarities: Vectors, k: int) -> tuple[NDArray[np.int32], Vectors]:
    """Columns and values of the k highest of each row, in falling order, ties by lower column."""
    count, width = similarities.shape
    k = min(k, width)
    if not count or not k:
        return np.empty((count, k), np.int32), np.empty((count, k), np.float32)
    cut = np.partition(similarities, width - k, axis=1)[:, [width - k]]
    row, column = np.nonzero(similarities >= cut)  # k a row, and ties with the last of them
    if np.bincount(row, minlength=count).min() < k:  # NaN is no number to compare with: last
        return highest(np.where(np.isnan(similarities), -np.inf, similarities), k)
    values = similarities[row, column]
    order = np.lexsort((-values, row))  # stable: ties stay by column
    first = np.searchsorted(row, np.arange(count))
    chosen = order[first[:, None] + np.arange(k)]
    return column[chosen].astype(np.int32), values[chosen]
