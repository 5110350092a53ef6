"""What all readers of one load share: the column names, and the rows they had to refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nearfar.core.errors import BadInput
from nearfar.data.bad_row import BadRow
from nearfar.data.columns import Columns, Kind
from nearfar.data.config import DataConfig

LISTED = 10  # refused rows named in the notices


class Row(NamedTuple):
    """One row of a table, or one object of a JSONL file."""

    line: int  # 1-based; the row's number where a file has no lines
    values: dict[str, Any]


class Intake:
    """Refuses bad rows: raises at the first, or counts them when the user asked to skip them."""

    def __init__(self, config: DataConfig, kind: Kind = "pairs") -> None:
        self.columns = Columns(config.columns, kind)
        self.skip = config.skip_bad_rows
        self.first: BadInput | None = None  # refused since `begin`
        self._listed: list[str] = []
        self._count = 0

    def begin(self) -> None:
        """Turn to the next file: should all its rows be refused, `first` is the reason to give."""
        self.first = None

    def refuse(self, where: str | Path, line: int | None, bad: BadRow) -> None:
        """Take note of a row that cannot be used.

        Raises:
            BadInput: bad rows are not to be skipped.
        """
        error = bad.at(where, line)
        if not self.skip:
            raise error
        self.first = self.first or error
        self._count += 1
        if len(self._listed) < LISTED:
            self._listed.append(str(error))

    def notices(self) -> tuple[str, ...]:
        """How many rows were skipped, and the first of them."""
        return (f"skipped {self._count:,} bad rows", *self._listed) if self._count else ()


Reader = Callable[[Path, Intake], Iterator[Row]]
