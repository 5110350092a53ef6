"""Query templates: a query with its numbers, identifiers, quoted strings and rare words replaced by a slot."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

SLOT = "_"
FREQUENT = 0.05  # share of the queries from which a word is part of templates
FEWEST = 3  # queries: below, a word is never frequent
LARGE = 0.01  # share of the queries from which on a template is more than chance, if FEWEST have it
FIXED_WORDS = 2  # words that a template has at least; with fewer a query says nothing of its form ("asthma treatment")
QUOTED = re.compile(r"\"[^\"]+\"|`[^`]+`|(?<!\w)'[^']+'(?!\w)|[“«„][^”»“]+[”»“]")
WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")  # letters alone; "don't" and "top-up" are one word
EDGES = ".,;:!?()[]{}<>…"
FUNCTION_WORDS = frozenset(
    """a about after all am an and any are as at be before between both but by can could did do does each every for
    from get give had has have how i if in into is it its list me my no not of on one only or other our out over show
    should so some such than that the their them then there these they this those to under up use using want was way we
    were what when where which who whom whose why will with within without would you your""".split()  # noqa: SIM905
)


def parts(query: str) -> list[str]:
    """The words of a query in lower case, SLOT where it has a number, an identifier or a quoted string."""
    return [_part(token) for token in QUOTED.sub(f" {SLOT} ", query).split() if token.strip(EDGES)]


def _part(token: str) -> str:
    bare = token.strip(EDGES)
    return bare.lower() if WORD.fullmatch(bare) and not re.search(r"[^\W\d_A-Z][A-Z]", bare) else SLOT


@dataclass(frozen=True)
class Templates:
    """Which words are part of templates, learned from queries: function words, and what many of the queries have."""

    kept: frozenset[str]

    @classmethod
    def of(cls, queries: Sequence[str]) -> Self:
        """The templates of these queries."""
        counts = Counter(word for query in queries for word in set(parts(query)))
        least = max(FEWEST, FREQUENT * len(queries))
        return cls(FUNCTION_WORDS | {word for word, count in counts.items() if count >= least and word != SLOT})

    def template(self, query: str) -> str:
        """The query's fixed words with one slot between them; "" when it has too few to speak of a template."""
        found: list[str] = []
        for part in parts(query):
            word = part if part in self.kept else SLOT
            if word != SLOT or found[-1:] != [SLOT]:
                found.append(word)
        return " ".join(found) if len(found) - found.count(SLOT) >= FIXED_WORDS else ""

    def counts(self, queries: Iterable[str]) -> Counter[str]:
        """How many of the queries have each template; those without one are not counted."""
        found = Counter(map(self.template, queries))
        del found[""]
        return found

    def shift(self, queries: Sequence[str], others: Sequence[str]) -> float:
        """Share of the queries that are in large templates beyond what the others have in each."""
        ours, theirs = self.counts(queries), self.counts(others)
        least = max(FEWEST, LARGE * len(queries))
        return sum(max(0.0, count / len(queries) - theirs[form] / len(others))
                   for form, count in ours.items() if count >= least)  # fmt: skip
