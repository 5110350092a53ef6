"""Scores of codes made of M bytes, by tables: of each byte's part of the inner product, looked up and summed."""

# mypy: disable-error-code="misc, no-untyped-call"
from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nearfar.compress.codec import Codes, Vectors
from nearfar.core.compiled import compiled

BLOCK_QUERIES = 64  # whose tables are held at once: 2 MB at M = 32

Tables = NDArray[np.float32]  # (M, K, Q)


def by_tables(queries: Vectors, codes: Codes, tables: Callable[[Vectors], Tables]) -> Vectors:
    """Scores (Q, n) of codes (n, M): Σ_m tables(queries)[m, codes[:, m]].

    Raises:
        IndexError: a code is beyond its table.
    """
    scores = np.empty((len(queries), len(codes)), np.float32)
    for start in range(0, len(queries), BLOCK_QUERIES):
        block = slice(start, start + BLOCK_QUERIES)
        own = np.ascontiguousarray(np.moveaxis(tables(queries[block]), 2, 0), np.float32)  # (Q, M, K)
        if own.shape[2] <= np.iinfo(codes.dtype).max and codes.max(initial=0) >= own.shape[2]:
            raise IndexError(f"a code of {codes.max()} in tables of {own.shape[2]}")
        for tables_of_one, row in zip(own, scores[block], strict=True):
            sum_by_tables(codes, tables_of_one, row)
    return scores


@compiled(fastmath={"contract"})
def sum_by_tables(codes: Codes, tables: Vectors, scores: Vectors) -> None:
    """Scores (n,) of codes (n, M) by tables (M, K), four at once: so no sum waits for its own last addition."""
    whole = len(codes) // 4 * 4
    for i in range(0, whole, 4):
        of_a = of_b = of_c = of_d = np.float32(0)
        for book in range(codes.shape[1]):
            of_a += tables[book, codes[i, book]]
            of_b += tables[book, codes[i + 1, book]]
            of_c += tables[book, codes[i + 2, book]]
            of_d += tables[book, codes[i + 3, book]]
        scores[i], scores[i + 1], scores[i + 2], scores[i + 3] = of_a, of_b, of_c, of_d
    for i in range(whole, len(codes)):
        scores[i] = 0
        for book in range(codes.shape[1]):
            scores[i] += tables[book, codes[i, book]]
