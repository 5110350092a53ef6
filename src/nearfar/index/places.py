"""Where the rows of a table lie, in few bytes."""

from __future__ import annotations

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
    def of(cls, addresses: Addresses) -> Self:
        """The runs of the addresses (n,) of rows 0 … n−1."""
        follows = addresses[1:] == addresses[:-1] + np.uint64(1)
        firsts = np.flatnonzero(np.concatenate([np.ones(min(len(addresses), 1), np.bool_), ~follows]))
        return cls(firsts, addresses[firsts], len(addresses))

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

    @cached_property
    def _rising(self) -> Rows:
        """Runs by rising address, which files that were written together leave out of order."""
        return np.argsort(self.addresses, kind="stable")
