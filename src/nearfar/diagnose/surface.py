"""Surface of texts: numbers, dates, identifiers, paths, acronyms, names, and how far they tell texts apart."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearfar.core.surface import TOKEN, family_at
from nearfar.diagnose.evidence import Questions

Floats = NDArray[np.float64]
Rows = NDArray[np.int32]

WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Shared:
    """A query and the surface tokens that it shares with its relevant documents."""

    row: int  # of the questions
    tokens: frozenset[str]


def surface_tokens(text: str, written: Container[str]) -> frozenset[str]:
    """The tokens of `text` that are no ordinary words; a first word is none if it is `written` small elsewhere."""
    return frozenset(match[0] for match in TOKEN.finditer(text) if family_at(match, written))


def all_tokens(text: str) -> frozenset[str]:
    """Every token of `text`, words too."""
    return frozenset(TOKEN.findall(text))


def words(text: str) -> frozenset[str]:
    """The words of `text` in small letters."""
    return frozenset(WORD.findall(text.lower()))


def leading(text: str) -> str:
    """The first word of `text` in small letters, "" where it has none."""
    found = WORD.search(text)
    return found[0].lower() if found else ""


def without(text: str, tokens: Iterable[str]) -> str:
    """`text` with these tokens taken out."""
    gone = frozenset(tokens)
    kept = TOKEN.sub(lambda match: "" if match[0] in gone else match[0], text)
    return " ".join(kept.split())


def exchanged(text: str, tokens: Iterable[str], others: Iterable[str]) -> str:
    """`text` with other tokens in place of these: the first of these becomes all the others."""
    first = next(match.start() for match in TOKEN.finditer(text) if match[0] in frozenset(tokens))
    return " ".join([*without(text[:first], tokens).split(), *sorted(others), *without(text[first:], tokens).split()])


class Postings:
    """Which documents have a token, and how rare it is."""

    def __init__(self, documents: Sequence[frozenset[str]]) -> None:
        rows: dict[str, list[int]] = defaultdict(list)
        for row, tokens in enumerate(documents):
            for token in tokens:
                rows[token].append(row)
        self.count = len(documents)
        self._rows = dict(rows)

    def rarity(self, token: str) -> float:
        """Inverse document frequency log(1 + D / documents with the token), 0 where none has it."""
        return float(np.log1p(self.count / len(self._rows[token]))) if token in self._rows else 0.0

    def scores(self, tokens: Iterable[str]) -> Floats:
        """Sum of the rarities of these tokens in each document, (D,)."""
        scores = np.zeros(self.count)
        for token in frozenset(tokens) & self._rows.keys():
            scores[self._rows[token]] += self.rarity(token)
        return scores

    def wins(self, tokens: Iterable[str], relevant: Rows, batch_size: int) -> float:
        """Probability that `tokens` alone tell a relevant document from all others of a batch.

        (1 − share of the documents that have as much of them)^(B − 1), those that are relevant left out.
        """
        scores = self.scores(tokens)
        best = scores[relevant].max()
        scores[relevant] = -1
        return float((1 - (scores >= best).mean()) ** (batch_size - 1)) if best > 0 else 0.0


def shared(questions: Questions, having: Sequence[frozenset[str]]) -> list[Shared]:
    """The queries that share a surface token with a relevant document; `having` are all tokens of the documents."""
    written = frozenset[str]().union(*having)
    found = []
    for row, (query, relevant) in enumerate(zip(questions.queries, questions.relevant, strict=True)):
        tokens = surface_tokens(query, written) & frozenset().union(*(having[document] for document in relevant))
        if tokens:
            found.append(Shared(row, tokens))
    return found
