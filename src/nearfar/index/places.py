"""Where the rows of a table lie, in few bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Addresses = NDArray[np.uint64]


@dataclass(frozen=True)
class Places:
    """Runs of rows whose addresses follow each other: one for each file, where nothing was deleted."""

    firsts: Rows  # (r,) first row of each run, rising
    addresses: Addresses  # (r,) of that row
    count: int

    @classmethod
    def of(cls, blocks: Iterable[Addresses]) -> Self:
        """The runs of the addresses of rows 0 … n−1, which come some at a time."""
        firsts, addresses, count = [np.empty(0, np.int64)], [np.empty(0, np.uint64)], 0
        behind = None  # the address that would go on
        for block in blocks:
            breaks = np.empty(len(block), np.bool_)
            breaks[:1] = block[:1] != behind
            breaks[1:] = block[1:] != block[:-1] + np.uint64(1)
            firsts.append(np.flatnonzero(breaks) + count)
            addresses.append(block[breaks])
            count, behind = count + len(block), block[-1] + np.uint64(1) if len(block) else behind
        return cls(np.concatenate(firsts), np.concatenate(addresses), count)

    @property
    def nbytes(self) -> int:
        """Bytes of the runs."""
        return self.firsts.nbytes + self.addresses.nbytes

    def at(self, rows: NDArray[np.integer[Any]]) -> Addresses:
        """Address of each row."""
        run = np.searchsorted(self.firsts, rows, side="right") - 1
        found: Addresses = self.addresses[run] + (rows - self.firsts[run]).astype(np.uint64)
        return found

    def all(self) -> Addresses:
        """Address of every row, (n,)."""
        return self.at(np.arange(self.count))

    def rows_at(self, addresses: Addresses) -> Rows:
        """Row at each address, of those that have one."""
        run = self._rising[np.searchsorted(self.addresses[self._rising], addresses, side="right") - 1]
        found: Rows = self.firsts[run] + (addresses - self.addresses[run]).astype(np.int64)
        return found

    def following(self, addresses: Addresses) -> Addresses:
        """The first address from each on that a row has; where none has, one of a row before."""
        starts, counts = self.addresses[self._rising], np.diff(self.firsts, append=self.count)[self._rising]
        run = np.maximum(np.searchsorted(starts, addresses, side="right") - 1, 0)
        within = addresses < starts[run] + counts[run].astype(np.uint64)
        behind = starts[np.minimum(run + 1, len(starts) - 1)]
        return np.where(within, np.maximum(addresses, starts[run]), behind)

    @cached_property
    def _rising(self) -> Rows:
        """Runs by rising address, which files that were written together leave out of order."""
        return np.argsort(self.addresses, kind="stable")
