"""BM25 over segments of postings."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from nearfar.text.bm25 import K1, B
from nearfar.text.posting_kernels import live_frequencies
from nearfar.text.postings import GONE, Ints, Postings
from nearfar.text.segments import Floats, Segment, Segments, Term
from nearfar.text.words import words


@dataclass(frozen=True)
class SegmentedBM25:
    """score(q, d) = Σ_{t ∈ q} idf(t) · tf / (tf + k1 · (1 − b + b · |d| / avg|d|)), as in `text.bm25`.

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

    def __len__(self) -> int:
        return len(self.inverted)

    def terms(self, query: str) -> list[Term]:
        """The query's terms that live documents hold, the heaviest first: idf times how often the query has it."""
        terms, count = [], len(self)
        for name, often in Counter(words(query)).items():
            numbers = tuple(segment.postings.number(name) for segment in self.inverted.segments)
            pairs = zip(self.frequencies, numbers, strict=True)
            live = sum(int(frequencies[number]) for frequencies, number in pairs if number is not None)
            if live:
                weight = often * math.log1p((count - live + 0.5) / (live + 0.5))
                terms.append(Term(name, weight, weight, numbers))  # no share is above 1
        return sorted(terms, key=lambda term: (-term.weight, term.name))

    def search(self, queries: Sequence[str], k: int, allowed: NDArray[np.bool_] | None = None) -> tuple[Ints, Floats]:
        """The k best documents of each query, as `Segments.search` gives them."""
        return self.inverted.search([self.terms(query) for query in queries], k, allowed)

    def scores(self, query: str, rows: NDArray[np.integer]) -> Floats:
        """Score of the document in each row, (len(rows),), as `search` gives it to the bit; 0 where there is none."""
        return self.inverted.scores(self.terms(query), rows)

    def matched(self, query: str, row: int) -> dict[str, float]:
        """What each term of the query that the document holds adds to its score, the most first."""
        return self.inverted.matched(self.terms(query), row)
