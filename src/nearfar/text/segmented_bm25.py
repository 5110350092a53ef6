"""BM25 over segments of postings, of words and of pairs of neighbours."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from nearfar.text.bm25 import K1, B
from nearfar.text.posting_kernels import live_frequencies
from nearfar.text.postings import GONE, Ints, Postings
from nearfar.text.segments import Floats, Segment, Segments, Term
from nearfar.text.words import words

PAIRS = 0.2  # weight of neighbours beside that of words: the mean over dev queries of four sets is as high with .3


@dataclass(frozen=True)
class SegmentedBM25:
    """score(q, d) = Σ_{t ∈ q} w(t) · idf(t) · tf / (tf + k1 · (1 − b + b · |d| / avg|d|)), as in `text.bm25`.

    Terms are the words of the query, w = 1, and those that stand beside one another in it and in the document, w = 0.2
    (sequential dependence: Metzler and Croft, 2005).
    Document frequencies and the mean length are those of the live documents of all segments, exactly.
    """

    inverted: Segments
    frequencies: tuple[Ints, ...]  # (T,) of each segment: live documents of each term

    @classmethod
    def over(cls, postings: Sequence[Postings], rows: Sequence[Ints]) -> Self:
        """Search these segments together.

        Args:
            rows: row of each document of each segment in the caller's table, GONE where it was deleted; no row twice.

        Raises:
            BadInput: a segment has not one row for each of its documents.
        """
        segments = [Segment.of(*pair) for pair in zip(postings, rows, strict=True)]
        live = sum(int(np.count_nonzero(one.rows != GONE)) for one in segments)
        total = sum(int(one.postings.lengths[one.rows != GONE].sum(dtype=np.int64)) for one in segments)
        norm = np.array([K1 * (1 - B), K1 * B * live / max(total, 1)], np.float32)
        frequencies = tuple(live_frequencies(one.postings.offsets, one.postings.documents, one.rows)
                            for one in segments)  # fmt: skip
        return cls(Segments.of(segments, norm), frequencies)

    @cached_property
    def _size(self) -> int:
        """Live documents, which take as long to count as a term does to find."""
        return len(self.inverted)

    def __len__(self) -> int:
        return self._size

    def terms(self, query: str) -> list[Term]:
        """The query's terms that live documents hold, the heaviest first: idf times how often the query has it."""
        asked, postings = words(query), [segment.postings for segment in self.inverted.segments]
        numbers = {word: [part.number(word) for part in postings] for word in asked}
        held = [self._term(word, often, numbers[word]) for word, often in Counter(asked).items()]
        for pair, often in Counter(pairwise(asked)).items():
            both = zip(postings, *map(numbers.__getitem__, pair), strict=True)
            of_pair = [part.number_of_pair(first, second) for part, first, second in both]
            held.append(self._term(" ".join(pair), PAIRS * often, of_pair, is_pair=True))
        return sorted((term for term in held if term.weight), key=lambda term: (-term.weight, term.name))

    def _term(self, name: str, often: float, numbers: Sequence[int | None], *, is_pair: bool = False) -> Term:
        """What the query has so often; of no weight where no live document holds it."""
        own = zip(self.frequencies, numbers, strict=True)
        live = sum(int(frequencies[number]) for frequencies, number in own if number is not None)
        weight = often * math.log1p((len(self) - live + 0.5) / (live + 0.5)) if live else 0.0
        return Term(name, weight, weight, tuple(numbers), is_pair)  # no share is above 1

    def search(self, queries: Sequence[str], k: int, allowed: NDArray[np.bool_] | None = None) -> tuple[Ints, Floats]:
        """The k best documents of each query, as `Segments.search` gives them."""
        return self.inverted.search([self.terms(query) for query in queries], k, allowed)

    def scores(self, query: str, rows: NDArray[np.integer]) -> Floats:
        """Score of the document in each row, (len(rows),), as `search` gives it to the bit; 0 where there is none."""
        return self.inverted.scores(self.terms(query), rows)

    def matched(self, query: str, row: int) -> dict[str, float]:
        """What each term of the query that the document holds adds to its score, the most first."""
        return self.inverted.matched(self.terms(query), row)
