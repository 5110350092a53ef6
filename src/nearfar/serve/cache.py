"""Vectors of texts, and those of the texts that were asked for last, kept."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearfar.encoder.encoder import Role

ENTRY_BYTES = 500  # what Python adds to a text and an entry, about

Given = str | tuple[int, ...]  # a text, or its token ids
Kind = tuple[Role, str, bool]  # role, task, whether they are token ids: those of one kind are embedded together
Key = tuple[Kind, Given]


@dataclass(frozen=True)
class Embedded:
    """Vectors of texts, and how many tokens of each were read."""

    vectors: NDArray[np.float32]  # (n, d)
    tokens: NDArray[np.int64]  # (n,)

    @classmethod
    def room(cls, count: int, dimension: int) -> Embedded:
        """Places to be filled."""
        return cls(np.empty((count, dimension), np.float32), np.zeros(count, np.int64))

    def put(self, place: int | list[int], found: Embedded, row: int | slice) -> None:
        """Fill places with rows of another."""
        self.vectors[place], self.tokens[place] = found.vectors[row], found.tokens[row]

    def row(self, place: int) -> Embedded:
        """One row, copied, so that it does not keep the others."""
        return Embedded(self.vectors[place : place + 1].copy(), self.tokens[place : place + 1].copy())


class Cache:
    """What was asked for last, in bounded memory."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes, self.held = size_bytes, 0
        self.known: OrderedDict[Key, Embedded] = OrderedDict()

    def get(self, key: Key) -> Embedded | None:
        """One row, which is then the last that was asked for."""
        found = self.known.get(key)
        if found is not None:
            self.known.move_to_end(key)
        return found

    def put(self, key: Key, one: Embedded) -> None:
        """Keep one row, and drop those that were not asked for longest where there is no room."""
        cost = _cost(key, one)
        if key in self.known or cost > self.size_bytes:
            return
        self.known[key] = one
        self.held += cost
        while self.held > self.size_bytes:
            self.held -= _cost(*self.known.popitem(last=False))


def _cost(key: Key, one: Embedded) -> int:
    return one.vectors.nbytes + 4 * len(key[1]) + ENTRY_BYTES
