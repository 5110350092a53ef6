"""BM25 over segments of postings, so that documents come and go without the others being read again."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from nearfar.core.errors import BadInput
from nearfar.text.bm25 import K1, B
from nearfar.text.posting_kernels import LAST_ROW, add_best, live_frequencies
from nearfar.text.postings import GONE, Ints, Postings
from nearfar.text.words import words

PAD = -1
ALL = np.empty(0, np.bool_)

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Segment:
    """Postings, and which of their documents are live."""

    postings: Postings
    rows: Ints  # (D,) of each document in the table, GONE where it was deleted
    frequencies: Ints  # (T,) live documents of each term

    @classmethod
    def of(cls, postings: Postings, rows: Ints) -> Self:
        """Count the live documents of each term.

        Raises:
            BadInput: there is not one row for each document.
        """
        if len(rows) != len(postings):
            raise BadInput.at("rows of a segment", expected=f"{len(postings)}, one for each document",
                              found=str(len(rows)), do="build the index again")  # fmt: skip
        rows = np.ascontiguousarray(rows, np.int32).view()
        rows.setflags(write=False)  # as the arrays on disk are: a kernel is compiled for each kind
        return cls(postings, rows, live_frequencies(postings.offsets, postings.documents, rows))


@dataclass(frozen=True)
class Term:
    """A term of a query that a live document holds."""

    name: str
    weight: float  # idf, as often as it is in the query
    numbers: tuple[int | None, ...]  # in each segment


@dataclass(frozen=True)
class Overlap:
    """How much of a query some documents have, n of them."""

    terms: Floats  # (n,) share of the query's different terms that the document holds
    weight: Floats  # (n,) share of their weight, idf and how often the query has each, of those that any document holds
    lengths: Ints  # (n,) terms of each document


@dataclass(frozen=True)
class SegmentedBM25:
    """score(q, d) = Σ_{t ∈ q} idf(t) · tf / (tf + k1 · (1 − b + b · |d| / avg|d|)), as in `text.bm25`.

    Document frequencies and the mean length are those of the live documents of all segments, exactly.
    """

    segments: tuple[Segment, ...]
    count: int  # live documents
    norm: Floats  # (2,) k1 · (1 − b) and k1 · b / avg|d|
    places: Ints  # (rows,) of the document in that row among those of all segments one after the other, or GONE

    @classmethod
    def over(cls, postings: Sequence[Postings], rows: Sequence[Ints]) -> Self:
        """Search these segments together.

        Args:
            rows: row of each document of each segment in the caller's table, GONE where it was deleted; no row twice.

        Raises:
            BadInput: a segment has not one row for each of its documents.
        """
        segments = tuple(Segment.of(*pair) for pair in zip(postings, rows, strict=True))
        row = np.concatenate([np.empty(0, np.int32), *(segment.rows for segment in segments)])
        length = np.concatenate([np.empty(0, np.int32), *(segment.postings.lengths for segment in segments)])
        live = np.flatnonzero(row != GONE)
        places = np.full(row.max(initial=GONE) + 1, GONE, np.int32)
        places[row[live]] = live
        total = int(length[live].sum(dtype=np.int64))
        norm = np.array([K1 * (1 - B), K1 * B * len(live) / max(total, 1)], np.float32)
        return cls(segments, len(live), norm, places)

    def __len__(self) -> int:
        return self.count

    def search(self, queries: Sequence[str], k: int, allowed: NDArray[np.bool_] | None = None) -> tuple[Ints, Floats]:
        """The k best documents of each query, best first, equal scores by row: rows (Q, k) and scores (Q, k).

        A document without a term of the query is not returned: the places left over hold row −1 and score 0.

        Args:
            allowed: whether the document in each row may be returned; None for all. Scores do not depend on it.

        Raises:
            BadInput: `allowed` has fewer rows than there are.
        """
        if allowed is not None and len(allowed) < len(self.places):
            raise BadInput.at("filter", expected=f"{len(self.places)} rows", found=str(len(allowed)),
                              do="filter the table that the index belongs to")  # fmt: skip
        mask = ALL if allowed is None or not len(allowed) else np.ascontiguousarray(allowed, np.bool_)
        keys = np.zeros((len(queries), k), np.int64)
        if k:
            for text, heap in zip(queries, keys, strict=True):
                self._search(text, mask, heap)
        keys = -np.sort(-keys, axis=1)
        rows = np.where(keys > 0, LAST_ROW - (keys & LAST_ROW), PAD).astype(np.int32)
        return rows, (keys >> 32).astype(np.int32).view(np.float32)

    def scores(self, query: str, rows: NDArray[np.integer]) -> Floats:
        """Score of the document in each row, (len(rows),), as `search` gives it to the bit; 0 where there is none."""
        total = np.zeros(len(rows), np.float32)
        for part in self._parts(self._terms(query), rows):  # in the order of `search`: a sum over an axis may leave it
            total += part
        return total

    def matched(self, query: str, row: int) -> dict[str, float]:
        """What each term of the query that the document holds adds to its score, the most first."""
        terms = self._terms(query)
        parts = zip((term.name for term in terms), self._parts(terms, np.array([row]))[:, 0].tolist(), strict=True)
        return dict(sorted(((name, part) for name, part in parts if part > 0), key=lambda pair: -pair[1]))

    def overlap(self, query: str, rows: NDArray[np.integer]) -> Overlap:
        """Which part of the query's terms the document in each row holds; 0 where there is none."""
        terms, asked = self._terms(query), len(set(words(query)))
        held = self._parts(terms, rows) > 0  # (terms, n)
        weights = np.array([term.weight for term in terms], np.float32)
        total = max(float(weights.sum()), 1e-9)
        lengths = self._lengths[self._places(rows)]
        return Overlap(held.sum(axis=0, dtype=np.float32) / max(asked, 1), weights @ held / total, lengths)

    @cached_property
    def _lengths(self) -> Ints:
        """Terms of the documents of all segments one after the other, and, where GONE points to, 0."""
        return np.concatenate([*(segment.postings.lengths for segment in self.segments), np.zeros(1, np.int32)])

    def _search(self, text: str, allowed: NDArray[np.bool_], heap: NDArray[np.int64]) -> None:
        terms = self._terms(text)
        for i, segment in enumerate(self.segments):
            held = [(term.numbers[i], term.weight) for term in terms if term.numbers[i] is not None]
            if held:
                numbers, weights = zip(*held, strict=True)
                postings, first = segment.postings, np.array(numbers)
                spans = np.stack([postings.offsets[first], postings.offsets[first + 1]], axis=1)
                arrays = (postings.documents, postings.counts, postings.lengths, self.norm)
                add_best((spans, np.array(weights, np.float32)), arrays, segment.rows, allowed, heap)

    def _terms(self, text: str) -> list[Term]:
        """The query's terms that live documents hold, the heaviest first."""
        terms = []
        for name, often in Counter(words(text)).items():
            numbers = tuple(segment.postings.number(name) for segment in self.segments)
            pairs = zip(self.segments, numbers, strict=True)
            live = sum(int(segment.frequencies[number]) for segment, number in pairs if number is not None)
            if live:
                idf = math.log1p((self.count - live + 0.5) / (live + 0.5))
                terms.append(Term(name, often * idf, numbers))
        return sorted(terms, key=lambda term: (-term.weight, term.name))

    def _parts(self, terms: Sequence[Term], rows: NDArray[np.integer]) -> Floats:
        """What each term adds to the score of the document in each row, (terms, len(rows))."""
        parts = np.zeros((len(terms), len(rows)), np.float32)
        places, start = self._places(rows), 0
        for i, segment in enumerate(self.segments):
            mine = np.flatnonzero((places >= start) & (places < start + len(segment.rows)))
            documents = (places[mine] - start).astype(np.int32)
            for term, part in zip(terms, parts, strict=True):
                number = term.numbers[i]
                if number is not None:
                    part[mine] = np.float32(term.weight) * self._saturation(segment.postings, number, documents)
            start += len(segment.rows)
        return parts

    def _places(self, rows: NDArray[np.integer]) -> Ints:
        """Of the document in each row, (len(rows),), GONE where there is none."""
        inside = (rows >= 0) & (rows < len(self.places))
        places = np.full(len(rows), GONE, np.int32)
        places[inside] = self.places[rows[inside]]
        return places

    def _saturation(self, postings: Postings, number: int, documents: Ints) -> Floats:
        """Of a term in these documents: tf / (tf + norm[0] + norm[1] · length), (len(documents),)."""
        held = slice(*postings.offsets[number : number + 2])
        at = np.searchsorted(postings.documents[held], documents).clip(max=held.stop - held.start - 1)
        count = np.where(postings.documents[held][at] == documents, postings.counts[held][at], 0).astype(np.float32)
        norm = self.norm[0] + self.norm[1] * postings.lengths[documents].astype(np.float32)
        share: Floats = count / (count + norm)
        return share
