"""Standard output on which documents cannot speak to the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TextIO

from nearfar.core.unicode import visible


@dataclass(frozen=True)
class Visible:
    """A stream that makes control codes visible in what is written to it."""

    stream: TextIO

    def write(self, text: str) -> int:
        return self.stream.write(visible(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
