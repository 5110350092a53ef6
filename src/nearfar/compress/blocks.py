"""Scores block by block, so that what codes stand for is never held all at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nearfar.compress.codec import Codes, Vectors

BLOCK_ROWS = 1 << 12  # codes of a block: 6 MB of 384-d vectors, about a core's cache


def by_blocks(queries: Vectors, codes: Codes, score: Callable[[Codes], Vectors]) -> Vectors:
    """Scores (Q, n) of all codes (n, size_bytes), of `score(block)` (Q, rows) side by side."""
    scores = np.empty((len(queries), len(codes)), np.float32)
    for start in range(0, len(codes), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        scores[:, block] = score(codes[block])
    return scores
