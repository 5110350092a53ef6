"""The one exception of the readers that need not be final."""

from __future__ import annotations

from pathlib import Path

from nearfar.core.errors import BadInput


class BadRow(Exception):
    """A row that cannot be used, by a function that does not know where the row stands."""

    def __init__(self, *, expected: str, found: str, do: str) -> None:
        super().__init__(expected, found, do)
        self.expected, self.found, self.do = expected, found, do

    def at(self, where: str | Path, line: int | None) -> BadInput:
        """The error for the user."""
        return BadInput.at(where, expected=self.expected, found=self.found, do=self.do, line=line)
