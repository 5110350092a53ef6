"""Terms for lexical search: words of any language and parts of identifiers, from plain text and code alike."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from functools import lru_cache
from typing import Any

import Stemmer
from bm25s.stopwords import STOPWORDS_EN_PLUS

VERSION = 1  # of the rules below: an index made by other rules is refused
CACHED_WORDS = 1 << 17

# Python's \w lacks the combining marks that are inside words of Hebrew, Arabic, the Indic scripts, Thai, Lao, Tibetan,
# Burmese and Khmer; the gap in the Indic range is its full stop.
WORD = re.compile(
    "[\\w\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff]+"
)
# Scripts written without spaces between words (and Hangul, whose particles are attached).
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3041-\u30ff\u31f0-\u31ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
# Over the shape of a word: capitals with a plural s (URLs), capitals before a Word (HTTP|Server), a word, digits, a run
# of an unspaced script.
PART = re.compile(r"A+s(?![as])|A+(?![as])|A?[as]+|0+|c+")
INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))  # soft hyphen, zero-width characters
STOP_WORDS = frozenset(STOPWORDS_EN_PLUS)


def words(text: str) -> list[str]:
    """Terms of `text` in order, the same for a query and for a document.

    Words are case-folded, English stop words dropped and the rest reduced to English Snowball stems (which leaves other
    languages nearly as they are). Identifiers give their parts, split at underscores, case changes and digits, and then
    the whole without underscores, so that `getUser`, `get_user` and "get user" meet. Scripts without spaces give
    overlapping pairs of characters.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(INVISIBLE)
    return [term for word in WORD.findall(text) for term in _terms(word)]


def spans(text: str, terms: Collection[str]) -> tuple[tuple[int, int], ...]:
    """First and last + 1 character of the words of `text` that give one of `terms`."""
    return tuple(match.span() for match in WORD.finditer(text) if not set(words(match[0])).isdisjoint(terms))


@lru_cache(CACHED_WORDS)
def _terms(word: str) -> tuple[str, ...]:
    shape = "".join(map(_kind, word))
    parts = [(shape[m.start()], word[m.start() : m.end()].casefold()) for m in PART.finditer(shape)]
    terms = [term for kind, part in parts for term in (_pairs(part) if kind == "c" else _plain(part))]
    if len(parts) > 1 and "c" not in shape:
        terms.append(_stem("".join(part for _, part in parts)))
    return tuple(terms)


def _kind(character: str) -> str:
    """One letter for what a character is, the alphabet of PART."""
    if UNSPACED.match(character):
        return "c"
    if character in "s_":
        return character
    if character.isdigit():
        return "0"
    return "A" if character.isupper() else "a"


def _pairs(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(max(1, len(run) - 1))]


def _plain(part: str) -> list[str]:
    return [] if part in STOP_WORDS else [_stem(part)]


def _stem(word: str) -> str:
    stem: str = _stemmer().stemWord(word)
    return stem


@lru_cache(1)
def _stemmer() -> Any:
    return Stemmer.Stemmer("english", 0)  # 0: no cache of its own, _terms has one
