"""Tokens that are no ordinary words: numbers, dates, identifiers, paths, acronyms, names."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping

TOKEN = re.compile(r"(?:(?<!\S)|(?<=[\"'`(]))[/~$@#-]+\w[^\s\"'`(),;]*|\w(?:[\w.\-/#+:@]*\w)?")  # a path is one token
NAME = "name"
SENTENCE_END = re.compile(r"(?:^|[.?!:]\s*)$")

# The first that matches a whole token is its family; what matches none is an ordinary word.
FAMILIES: Mapping[str, re.Pattern[str]] = {
    "date": re.compile(r"\d{4}[-/.]\d{1,2}(?:[-/.]\d{1,2})?(?:T.*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}"),
    "number": re.compile(r"\d+(?:[.,:]\d+)*%?"),
    "path": re.compile(r"[/~$@#-].*|.*\w/\w.*"),
    "identifier": re.compile(r".*\d.*|.*\w[_.@#:]\w.*|.+[a-z][A-Z].*"),
    "acronym": re.compile(r"[A-Z]{2,}"),
    NAME: re.compile(r"[A-Z][a-z]{2,}"),
}


def family(token: str) -> str:
    """The family of a token, "" for an ordinary word."""
    return next((name for name, pattern in FAMILIES.items() if pattern.fullmatch(token)), "")


def family_at(match: re.Match[str], written: Container[str]) -> str:
    """The family of a token where it stands in a text.

    A capital at the start of a sentence makes a name only of a word that is not `written` small in any document.
    """
    found = family(match[0])
    if found == NAME and match[0].lower() in written and SENTENCE_END.search(match.string[: match.start()]):
        return ""
    return found
