"""How values are written in Markdown, whatever is in them."""

from __future__ import annotations

import re

SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|!~&])")
TICKS = re.compile(r"`+")


def escaped(text: str) -> str:
    """A text on one line that is read as it is: no markup, no link, no cell of a table begins or ends in it."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))


def fenced(text: str, language: str = "") -> str:
    """A block of code that its own backticks do not end."""
    fence = "`" * max(3, 1 + max(map(len, TICKS.findall(text)), default=0))
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
