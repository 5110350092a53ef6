"""The loop of a search over codes."""

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


@compiled(fastmath={"contract"})
def scan(
    order: NDArray[np.int64],  # (C,) cells, the likeliest first
    near: Vectors,  # (C,) score of each cell's centroid
    cells: tuple[NDArray[np.int64], NDArray[np.int32], Codes],  # starts (C + 1,), and of each place its row and code
    tables: Vectors,  # (M, K)
    allowed: NDArray[np.bool_],  # (n,), or (0,) where all are
    least: int,  # allowed codes to score before no further cell is opened
    room: tuple[NDArray[np.int32], Vectors],  # for rows and scores of what is found
) -> int:
    """Score the codes of allowed documents in one cell after the other; how many were found."""
    starts, rows, codes = cells
    found_rows, found_scores = room
    found = 0
    everyone = len(allowed) == 0
    for cell in order:
        if found >= least:
            break
        for place in range(starts[cell], starts[cell + 1]):
            if everyone or allowed[rows[place]]:
                score = near[cell]
                for book in range(codes.shape[1]):
                    score += tables[book, codes[place, book]]
                found_rows[found] = rows[place]
                found_scores[found] = score
                found += 1
    return found
