"""Rows sorted by length and packed into micro-batches of a token budget, so that almost nothing is padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PADDING = 0.05  # share of padding in a micro-batch
SLACK_TOKENS = 16  # padding that is always allowed: a micro-batch of two short rows costs more than this


@dataclass(frozen=True)
class Packing:
    """Micro-batches of row numbers, and how many tokens they hold with and without padding."""

    micro_batches: list[NDArray[np.int64]]
    real_tokens: int
    padded_tokens: int

    @property
    def padded_ratio(self) -> float:
        """Padded over real tokens, 1 when nothing is wasted."""
        return self.padded_tokens / max(self.real_tokens, 1)


def pack(lengths: NDArray[np.int64], budget_tokens: int, padding: float = PADDING) -> Packing:
    """Pack rows of these lengths (n,), longest first, into micro-batches of at most `budget_tokens` padded tokens.

    A micro-batch ends early where padding would pass that share of its tokens. A row longer than the budget gets a
    micro-batch of its own. Equal lengths keep their order.
    """
    order = np.argsort(-lengths, kind="stable")
    micro_batches = [order[start:stop] for start, stop in _cuts(lengths[order].tolist(), budget_tokens, padding)]
    padded = sum(len(rows) * int(lengths[rows[0]]) for rows in micro_batches)
    return Packing(micro_batches, int(lengths.sum()), padded)


def _cuts(lengths: list[int], budget_tokens: int, padding: float) -> Iterator[tuple[int, int]]:
    start = real = 0
    for i, length in enumerate(lengths):
        padded = (i + 1 - start) * lengths[start]
        wasted = padded - real - length
        if i > start and (padded > budget_tokens or wasted > max(padding * padded, SLACK_TOKENS)):
            yield start, i
            start, real = i, 0
        real += length
    if lengths:
        yield start, len(lengths)


def pad(rows: Sequence[NDArray[np.int32]], padding: int, *, left: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Token ids and attention mask, both (rows, longest)."""
    width = max(map(len, rows), default=0)
    ids = np.full((len(rows), width), padding, np.int64)
    mask = np.zeros((len(rows), width), np.int64)
    for i, row in enumerate(rows):
        span = slice(width - len(row), width) if left else slice(0, len(row))
        ids[i, span], mask[i, span] = row, 1
    return ids, mask
