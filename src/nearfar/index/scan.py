"""The loops of a search over codes."""

# mypy: disable-error-code="misc, no-untyped-call, call-arg"
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nearfar.compress.codec import Codes, Vectors
from nearfar.core.compiled import compiled
from nearfar.index.export_form import Codebooks
from nearfar.index.registers import BLOCK, fetch, sums_of

AHEAD = 8  # blocks that are fetched while others are scored: without, memory is waited for more than half of the time


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


@compiled()
def opened_blocks(
    order: NDArray[np.int64],  # (C,) cells, the likeliest first
    near: Vectors,  # (C,) score of each cell's centroid
    cells: tuple[NDArray[np.int64], NDArray[np.int32]],  # starts (C + 1,), and the row at each place, −1 in gaps
    allowed: NDArray[np.bool_],  # (n,), or (0,) where all are
    least: int,  # allowed documents after which no further cell is opened
) -> tuple[NDArray[np.int32], Vectors]:
    """Open one cell after the other: blocks with allowed documents in them, and the scores of their centroids."""
    starts, rows = cells
    blocks, scores = np.empty(len(rows) // BLOCK, np.int32), np.empty(len(rows) // BLOCK, np.float32)
    there, met, everyone = 0, 0, len(allowed) == 0
    for cell in order:
        if met >= least:
            break
        for block in range(starts[cell] // BLOCK, starts[cell + 1] // BLOCK):
            found = 0
            for place in range(block * BLOCK, (block + 1) * BLOCK):
                found += rows[place] >= 0 and (everyone or allowed[rows[place]])
            if found:
                blocks[there], scores[there] = block, near[cell]
                there, met = there + 1, met + found
    return blocks[:there], scores[:there]


@compiled()
def best_of_blocks(
    opened: tuple[NDArray[np.int32], Vectors],  # blocks, and the scores of their centroids
    rows: NDArray[np.int32],  # at each place, −1 in gaps
    allowed: NDArray[np.bool_],  # (n,), or (0,) where all are
    codes: tuple[Codes, Codes, np.float32],  # in blocks, the tables, and the step between two of their bytes
    count: int,
) -> NDArray[np.int32]:
    """Rows of the `count` allowed documents in these blocks whose codes score highest.

    Only what is above the `count`-th best so far is kept, so that few documents ever are.
    """
    blocks, tables, step = codes
    room = max(4 * count, 16 * BLOCK)
    kept, scores, sums = np.empty(room, np.int32), np.empty(room, np.float32), np.empty(BLOCK, np.uint16)
    there, everyone, cut = 0, len(allowed) == 0, np.float32(-np.inf)
    for turn in range(len(opened[0])):
        block, near = opened[0][turn], opened[1][turn]
        if turn + AHEAD < len(opened[0]):
            fetch(blocks, opened[0][turn + AHEAD])
        sums_of(blocks, block, tables, sums)
        if near + step * np.float32(sums.max()) <= cut:
            continue
        for place in range(BLOCK):
            row, score = rows[block * BLOCK + place], near + step * np.float32(sums[place])
            if score > cut and row >= 0 and (everyone or allowed[row]):
                kept[there], scores[there] = row, score
                there += 1
        if there > room - BLOCK:
            there = keep_best(kept[:there], scores[:there], count)
            cut = scores[:there].min()
    return kept[: keep_best(kept[:there], scores[:there], count)]


@compiled()
def keep_best(rows: NDArray[np.int32], scores: Vectors, count: int) -> int:
    """Move the `count` best of these (n,) to the front, in their order, ties by that; how many there are."""
    if len(scores) <= count:
        return len(scores)
    cut = np.partition(scores, len(scores) - count)[len(scores) - count]
    ties = count - np.count_nonzero(scores > cut)
    there = 0
    for i in range(len(scores)):
        is_tie = scores[i] == cut
        if scores[i] > cut or (is_tie and ties > 0):
            rows[there], scores[there] = rows[i], scores[i]
            there += 1
            ties -= is_tie
    return there
