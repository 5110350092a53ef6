"""Loops over postings: how many documents of each term are still there, and the best documents of a query."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nearfar.core.compiled import compiled

BLOCK = 1 << 15  # documents scored at a time: their scores stay in a cache
LAST_ROW = 0x7FFFFFFF
NONE = -1
ROUNDING = 1e-6  # more than the share of itself by which a number of 24 bits is off
HALF = np.float32(2.0**112)  # between the exponents of a float16 and those of a float32 with the same bits

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
Arrays = tuple[Ints, NDArray[Any], Ints, Floats]  # documents and counts of postings, lengths of documents, norm (2,)

kernel = compiled()  # sums stay in their order: a score has the same bits however it is come by
inlined = njit(inline="always", error_model="numpy")


@kernel
def live_frequencies(offsets: Longs, documents: Ints, rows: Ints) -> Ints:
    """Documents of each term whose row is not negative, (T,)."""
    found = np.zeros(len(offsets) - 1, np.int32)
    for term in range(len(found)):
        live = 0
        for i in range(offsets[term], offsets[term + 1]):
            live += rows[documents[i]] >= 0
        found[term] = live
    return found


@kernel
def add_best(
    query: tuple[Longs, Floats, Floats], arrays: Arrays, rows: Ints, allowed: NDArray[np.bool_], heap: Longs
) -> None:
    """Put the best documents of a segment into a heap of keys, its lowest first (MaxScore: Turtle and Flood, 1995).

    A key is the bits of the score, then those of the row counted from above: the better, the higher as an integer.

    Args:
        query: of each of its terms: where the postings begin and end (terms, 2), its weight (terms,), and the most
            that it adds to a score (terms,), falling.
        rows: (D,) row of each document, negative where it is gone.
        allowed: (rows,), or empty where all are.
    """
    spans, weights, bounds = query
    starts, ends = spans[:, 0].copy(), spans[:, 0].copy()
    scores, touched = np.zeros(BLOCK, np.float32), np.empty(BLOCK, np.int32)
    most, leading = _most(bounds), len(weights)
    for first in range(0, len(rows), BLOCK):
        for term in range(len(weights)):
            starts[term] = ends[term]
            ends[term] += np.searchsorted(arrays[0][starts[term] : spans[term, 1]], first + BLOCK)
        while leading > 0 and most[leading - 1] < _score(heap[0]):  # documents of these terms alone are too low
            leading -= 1
        found = _sum((weights[:leading], starts, ends), arrays, first, scores, touched)
        others = (weights[leading:], most[leading:], starts[leading:], ends[leading:])
        _offer(touched[:found], first, scores, (rows, allowed), others, arrays, heap)


@kernel
def _sum(terms: tuple[Floats, Longs, Longs], arrays: Arrays, first: int, scores: Floats, touched: Ints) -> int:
    """Add what these terms give to the scores of a block's documents, and list the documents that got any."""
    weights, starts, ends = terms
    documents, counts, lengths, norm = arrays
    found = 0
    for term in range(len(weights)):
        for i in range(starts[term], ends[term]):
            document = documents[i]
            place = document - first
            if scores[place] == 0 and found < len(touched):  # what adds nothing would come again with every term
                touched[found] = place
                found += 1
            scores[place] += weights[term] * _share(counts[i], lengths[document], norm)
    return found


@kernel
def _offer(
    touched: Ints,
    first: int,
    scores: Floats,
    table: tuple[Ints, NDArray[np.bool_]],
    others: tuple[Floats, Floats, Longs, Longs],
    arrays: Arrays,
    heap: Longs,
) -> None:
    """Add what the other terms give to the documents that can still reach the heap, put them there, and clear scores.

    All arrays are named before the loop: to take one out of a tuple inside it costs more than the rest.
    """
    rows, allowed = table
    weights, most, starts, ends = others
    documents, counts, lengths, norm = arrays
    for at in range(len(touched)):
        place = touched[at]
        score, row = scores[place], rows[first + place]
        scores[place] = 0
        if row < 0 or (len(allowed) > 0 and not allowed[row]):
            continue
        for term in range(len(weights)):
            if score + most[term] < _score(heap[0]):
                break
            i = _find(documents, first + place, starts[term], ends[term])
            if i != NONE:
                score += weights[term] * _share(counts[i], lengths[first + place], norm)
        key = (np.int64(np.float32(score).view(np.int32)) << 32) | (LAST_ROW - row)
        if key > heap[0]:
            _replace_lowest(heap, key)


@inlined
def _find(documents: Any, document: Any, start: Any, end: Any) -> Any:
    """Place of a document among those of the postings from `start` to `end`, or NONE."""
    low, high = start, end
    while low < high:
        middle = (low + high) // 2
        if documents[middle] < document:
            low = middle + 1
        else:
            high = middle
    return low if low < end and documents[low] == document else NONE


@inlined
def _share(count: Any, length: Any, norm: Any) -> Any:
    """Share of the term's weight: tf / (tf + norm[0] + norm[1] · length); without a norm the float16 of these bits."""
    if len(norm) == 0:
        share = np.int32(np.int32(count) << 13).view(np.float32) * HALF
    else:
        tf = np.float32(count)
        share = tf / (tf + (norm[0] + norm[1] * np.float32(length)))
    return share


@inlined
def _score(key: Any) -> Any:
    return np.int32(key >> 32).view(np.float32)


@kernel
def _most(bounds: Floats) -> Floats:
    """The most that terms t, t + 1, … can add to a score, (terms + 1,)."""
    most = np.zeros(len(bounds) + 1, np.float32)
    total = 0.0
    for term in range(len(bounds) - 1, -1, -1):
        total += bounds[term]
        most[term] = total * (1 + (len(bounds) + 8) * ROUNDING)
    return most


@kernel
def _replace_lowest(heap: Longs, key: int) -> None:
    """Take the lowest key out of a binary heap and put another in."""
    place, child = 0, 1
    while child < len(heap):
        if child + 1 < len(heap) and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= key:
            break
        heap[place] = heap[child]
        place, child = child, 2 * child + 1
    heap[place] = key
