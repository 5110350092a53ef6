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
    scores, places = np.zeros((len(queries), len(codes)), np.float32), np.arange(len(codes), dtype=np.int32)
    for start in range(0, len(queries), BLOCK_QUERIES):
        block = slice(start, start + BLOCK_QUERIES)
        own = np.ascontiguousarray(np.moveaxis(tables(queries[block]), 2, 0), np.float32)  # (Q, M, K)
        if own.shape[2] <= np.iinfo(codes.dtype).max and codes.max(initial=0) >= own.shape[2]:
            raise IndexError(f"a code of {codes.max()} in tables of {own.shape[2]}")
        for tables_of_one, row in zip(own, scores[block], strict=True):
            add_scores(places, codes, tables_of_one, row)
    return scores


@compiled(fastmath={"contract"})
def add_scores(
    places: NDArray[np.int32],  # (n,)
    codes: Codes,  # of all places, (N, M)
    tables: Vectors,  # (M, K)
    scores: Vectors,  # (n,), added to
) -> None:
    """Add what the codes at each place score, four places at once: so no sum waits for its own last addition."""
    whole = len(places) // 4 * 4
    for i in range(0, whole, 4):
        a, b, c, d = places[i], places[i + 1], places[i + 2], places[i + 3]
        of_a, of_b, of_c, of_d = scores[i], scores[i + 1], scores[i + 2], scores[i + 3]
        for book in range(codes.shape[1]):
            of_a += tables[book, codes[a, book]]
            of_b += tables[book, codes[b, book]]
            of_c += tables[book, codes[c, book]]
            of_d += tables[book, codes[d, book]]
        scores[i], scores[i + 1], scores[i + 2], scores[i + 3] = of_a, of_b, of_c, of_d
    for i in range(whole, len(places)):
        for book in range(codes.shape[1]):
            scores[i] += tables[book, codes[places[i], book]]
