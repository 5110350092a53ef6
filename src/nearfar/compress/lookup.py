"""Scores of codes made of M bytes, by tables: of each byte's part of the inner product, looked up and summed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nearfar.compress.codec import Codes, Vectors

BLOCK_QUERIES = 64  # queries of a block: their tables at M = 32 take 2 MB and stay in the cache
BLOCK_SCORES = 1 << 16  # scores summed at once
FEWEST_ROWS = 1 << 8  # of a block: below, calls cost more than sums

Tables = NDArray[np.float32]  # (M, K, Q)


def by_tables(queries: Vectors, codes: Codes, tables: Callable[[Vectors], Tables]) -> Vectors:
    """Scores (Q, n) of codes (n, M): Σ_m tables(queries)[m, codes[:, m]]."""
    scores = np.empty((len(queries), len(codes)), np.float32)
    for start in range(0, len(queries), BLOCK_QUERIES):
        block = slice(start, start + BLOCK_QUERIES)
        _sum(np.ascontiguousarray(tables(queries[block]), np.float32), codes, out=scores[block])
    return scores


def _sum(tables: Tables, codes: Codes, out: Vectors) -> None:
    rows = max(FEWEST_ROWS, BLOCK_SCORES // tables.shape[2])
    for start in range(0, len(codes), rows):
        block = slice(start, start + rows)
        parts = codes[block].T.astype(np.intp)  # (M, rows)
        total = np.zeros((parts.shape[1], tables.shape[2]), np.float32)
        for table, part in zip(tables, parts, strict=True):
            total += table.take(part, axis=0)
        out[:, block] = total.T
