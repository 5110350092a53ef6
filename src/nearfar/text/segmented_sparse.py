"""The inverted index of a learned sparse encoder: weights of tokens in the place of BM25's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from nearfar.text.postings import Ints, Postings, token_term
from nearfar.text.segments import Floats, Segment, Segments, Term

NO_NORM = np.empty(0, np.float32)


@dataclass(frozen=True)
class SegmentedSparse:
    """score(q, d) = Σ_t w_q(t) · w_d(t) over tokens t (SPLADE; Formal, Piwowarski and Clinchant, 2021).

    w_q is fp32, w_d is rounded to float16: by at most 2⁻¹¹ of itself, 0.05 %.
    """

    inverted: Segments
    highest: tuple[Floats, ...]  # (T,) of each segment: weight of each token in the document that has most of it

    @classmethod
    def over(cls, postings: Sequence[Postings], rows: Sequence[Ints]) -> Self:
        """Search these segments together, which `Postings.weighted` made.

        Args:
            rows: row of each document of each segment in the caller's table, GONE where it was deleted; no row twice.

        Raises:
            BadInput: a segment has not one row for each of its documents.
        """
        segments = [Segment.of(*pair) for pair in zip(postings, rows, strict=True)]
        return cls(Segments.of(segments, NO_NORM), tuple(_highest(one.postings) for one in segments))

    def __len__(self) -> int:
        return len(self.inverted)

    def terms(self, weights: Mapping[int, float], name: Callable[[int], str]) -> list[Term]:
        """The tokens of a query, of number → weight, that documents hold; those that can add most come first.

        Args:
            name: of a token, for people.
        """
        terms = []
        for token, weight in weights.items():
            numbers = tuple(segment.postings.number(token_term(token)) for segment in self.inverted.segments)
            pairs = zip(self.highest, numbers, strict=True)
            most = max((float(highest[number]) for highest, number in pairs if number is not None), default=0.0)
            if most:
                terms.append((token, Term(name(token), weight, weight * most, numbers)))
        return [term for _, term in sorted(terms, key=lambda pair: (-pair[1].most, pair[0]))]


def _highest(postings: Postings) -> Floats:
    """Of float16s that are not negative the bits are in the order of the numbers."""
    if not len(postings.counts):
        return np.empty(0, np.float32)
    bits = np.maximum.reduceat(postings.counts, postings.offsets[:-1])
    return bits.astype(np.uint16).view(np.float16).astype(np.float32)
