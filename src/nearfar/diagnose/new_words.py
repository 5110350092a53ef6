"""How much words count in a query that training never saw, beside as many that it saw."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from nearfar.diagnose.evidence import Encode, Vectors
from nearfar.diagnose.geometry import unit
from nearfar.diagnose.templates import FUNCTION_WORDS

WORD = re.compile(r"[^\W\d_]{2,}")  # letters alone: encoders see parts of identifiers and paths, too
STEM = 5  # letters; words that begin alike are known from one another
Spans = list[tuple[int, int]]


def known_stems(texts: Iterable[str]) -> frozenset[str]:
    """The beginnings of all words of texts that were trained on."""
    return frozenset(_stem(word) for text in texts for word in WORD.findall(text))


def shortened(queries: Sequence[str], known: Collection[str]) -> tuple[list[str], list[str], list[str]]:
    """Queries with new words, and each without some of these, and without as many of its known ones, drawn.

    Function words are neither. One known word at least is left, so that a query with fewer than two is passed over.
    """
    rng = np.random.default_rng(0)
    whole: list[str] = []
    without: tuple[list[str], list[str]] = ([], [])
    for query in queries:
        spans: tuple[Spans, Spans] = ([], [])  # of new words, of known ones
        for match in WORD.finditer(query):
            if match[0].lower() not in FUNCTION_WORDS:
                spans[_stem(match[0]) in known].append(match.span())
        count = min(len(spans[0]), len(spans[1]) - 1)
        if count < 1:
            continue
        whole.append(query)
        for kept, some in zip(without, spans, strict=True):
            kept.append(_without(query, [some[place] for place in rng.permutation(len(some))[:count]]))
    return whole, *without


def weight_of_new(shown: tuple[list[str], list[str], list[str]], encode: Encode) -> float:
    """How far queries turn (1 − cosine) without their new words, over how far without as many known ones."""
    whole, no_new, fewer_known = (encode(texts, "query") for texts in shown)
    return _turned(whole, no_new) / max(_turned(whole, fewer_known), 1e-9)


def _turned(one: Vectors, other: Vectors) -> float:
    return float(np.mean(1 - (unit(one) * unit(other)).sum(axis=1)))


def _stem(word: str) -> str:
    return word.lower()[:STEM]


def _without(query: str, spans: Spans) -> str:
    for start, end in sorted(spans, reverse=True):
        query = query[:start] + query[end:]
    return " ".join(query.split())
