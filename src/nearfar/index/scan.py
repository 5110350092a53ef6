"""The loops of a search over codes."""

# mypy: disable-error-code="misc, no-untyped-call"
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nearfar.compress.codec import Codes, Vectors
from nearfar.core.compiled import compiled
from nearfar.index.export_form import Codebooks


def tables_of(books: Codebooks, query: Vectors) -> Vectors:
    """Inner products (M, K) of a query's parts with all centroids of each codebook; the query is (d,)."""
    mapped = books.mapped(query[None])[0]
    if books.repeated:
        return np.ascontiguousarray(books.codebooks @ mapped, np.float32)
    parts = mapped.reshape(len(books.codebooks), -1, 1)  # (M, d_sub, 1)
    return np.ascontiguousarray((books.codebooks @ parts)[:, :, 0], np.float32)


@compiled()
def opened(
    order: NDArray[np.int64],  # (C,) cells, the likeliest first
    near: Vectors,  # (C,) score of each cell's centroid
    cells: tuple[NDArray[np.int64], NDArray[np.int32]],  # starts (C + 1,), and the row at each place (n,)
    allowed: NDArray[np.bool_],  # (n,), or (0,) where all are
    least: int,  # allowed places after which no further cell is opened
    room: tuple[NDArray[np.int32], Vectors],  # for places, and the scores of their centroids
) -> int:
    """Open one cell after the other, and take the places of allowed documents; how many were found."""
    starts, rows = cells
    places, scores = room
    found = 0
    everyone = len(allowed) == 0
    for cell in order:
        if found >= least:
            break
        for place in range(starts[cell], starts[cell + 1]):
            if everyone or allowed[rows[place]]:
                places[found] = place
                scores[found] = near[cell]
                found += 1
    return found


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
