"""Documents by the terms they hold, in segments, so that documents come and go without the others being read again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from nearfar.core.errors import BadInput
from nearfar.text.posting_kernels import LAST_ROW, add_best
from nearfar.text.postings import GONE, Ints, Postings

PAD = -1
ALL = np.empty(0, np.bool_)

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Segment:
    """Postings, and the rows of their documents."""

    postings: Postings
    rows: Ints  # (D,) of each document in the table, GONE where it was deleted

    @classmethod
    def of(cls, postings: Postings, rows: Ints) -> Self:
        """See that there is one row for each document.

        Raises:
            BadInput: there is not.
        """
        if len(rows) != len(postings):
            raise BadInput.at("rows of a segment", expected=f"{len(postings)}, one for each document",
                              found=str(len(rows)), do="build the index again")  # fmt: skip
        rows = np.ascontiguousarray(rows, np.int32).view()
        rows.setflags(write=False)  # as the arrays on disk are: a kernel is compiled for each kind
        return cls(postings, rows)


@dataclass(frozen=True)
class Term:
    """A term of a query."""

    name: str
    weight: float  # in the query
    most: float  # that it adds to a score
    numbers: tuple[int | None, ...]  # in each segment
    is_pair: bool = False  # of neighbours, which are terms of their own too


@dataclass(frozen=True)
class Overlap:
    """How much of a query some documents have, n of them."""

    terms: Floats  # (n,) share of the query's terms that the document holds
    weight: Floats  # (n,) share of their weight
    lengths: Ints  # (n,) terms of each document


@dataclass(frozen=True)
class Segments:
    """score(q, d) = Σ_{t ∈ q} weight(t) · share(t, d), over the live documents of all segments.

    share is tf / (tf + norm[0] + norm[1] · |d|), or, where norm is empty, the weight that the postings hold as float16.
    """

    segments: tuple[Segment, ...]
    norm: Floats  # (2,) or (0,)
    places: Ints  # (rows,) of the document in that row among those of all segments one after the other, or GONE

    @classmethod
    def of(cls, segments: Sequence[Segment], norm: Floats) -> Self:
        """Search these segments together; no row comes twice in them."""
        row = np.concatenate([np.empty(0, np.int32), *(segment.rows for segment in segments)])
        live = np.flatnonzero(row != GONE)
        places = np.full(row.max(initial=GONE) + 1, GONE, np.int32)
        places[row[live]] = live
        return cls(tuple(segments), norm, places)

    def __len__(self) -> int:
        """Live documents."""
        return int(np.count_nonzero(self.places != GONE))

    def search(
        self, queries: Sequence[Sequence[Term]], k: int, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[Ints, Floats]:
        """The k best documents of each query, best first, equal scores by row: rows (Q, k) and scores (Q, k).

        A document without a term of the query is not returned: the places left over hold row −1 and score 0.

        Args:
            queries: terms of each, in the order of what they can add, the most first.
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
            for terms, heap in zip(queries, keys, strict=True):
                self._search(terms, mask, heap)
        keys = -np.sort(-keys, axis=1)
        rows = np.where(keys > 0, LAST_ROW - (keys & LAST_ROW), PAD).astype(np.int32)
        return rows, (keys >> 32).astype(np.int32).view(np.float32)

    def scores(self, terms: Sequence[Term], rows: NDArray[np.integer]) -> Floats:
        """Score of the document in each row, (len(rows),), as `search` gives it to the bit; 0 where there is none."""
        total = np.zeros(len(rows), np.float32)
        for part in self._parts(terms, rows):  # in the order of `search`: a sum over an axis may leave it
            total += part
        return total

    def matched(self, terms: Sequence[Term], row: int) -> dict[str, float]:
        """What each term of the query that the document holds adds to its score, the most first."""
        parts = zip((term.name for term in terms), self._parts(terms, np.array([row]))[:, 0].tolist(), strict=True)
        return dict(sorted(((name, part) for name, part in parts if part > 0), key=lambda pair: -pair[1]))

    def overlap(self, terms: Sequence[Term], asked: int, rows: NDArray[np.integer]) -> Overlap:
        """Which part of a query's terms the document in each row holds; 0 where there is none.

        Args:
            asked: different terms of the query, those that no document holds included.
        """
        held = self._parts(terms, rows) > 0  # (terms, n)
        weights = np.array([term.weight for term in terms], np.float32)
        share = weights @ held / max(float(weights.sum()), 1e-9)
        return Overlap(held.sum(axis=0, dtype=np.float32) / max(asked, 1), share, self._lengths[self._places(rows)])

    @cached_property
    def _lengths(self) -> Ints:
        """Terms of the documents of all segments one after the other, and, where GONE points to, 0."""
        return np.concatenate([*(segment.postings.lengths for segment in self.segments), np.zeros(1, np.int32)])

    def _search(self, terms: Sequence[Term], allowed: NDArray[np.bool_], heap: NDArray[np.int64]) -> None:
        for i, segment in enumerate(self.segments):
            held = [(term.numbers[i], term.weight, term.most) for term in terms if term.numbers[i] is not None]
            if held:
                numbers, weights, most = zip(*held, strict=True)
                postings, first = segment.postings, np.array(numbers)
                spans = np.stack([postings.offsets[first], postings.offsets[first + 1]], axis=1)
                arrays = (postings.documents, postings.counts, postings.lengths, self.norm)
                query = (spans, np.array(weights, np.float32), np.array(most, np.float32))
                add_best(query, arrays, segment.rows, allowed, heap)

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
                    part[mine] = np.float32(term.weight) * self._share(segment.postings, number, documents)
            start += len(segment.rows)
        return parts

    def _places(self, rows: NDArray[np.integer]) -> Ints:
        """Of the document in each row, (len(rows),), GONE where there is none."""
        inside = (rows >= 0) & (rows < len(self.places))
        places = np.full(len(rows), GONE, np.int32)
        places[inside] = self.places[rows[inside]]
        return places

    def _share(self, postings: Postings, number: int, documents: Ints) -> Floats:
        """Share of a term in these documents, (len(documents),); 0 where they do not hold it."""
        held = slice(*postings.offsets[number : number + 2])
        at = np.searchsorted(postings.documents[held], documents).clip(max=held.stop - held.start - 1)
        count = np.where(postings.documents[held][at] == documents, postings.counts[held][at], 0)
        if not len(self.norm):
            return count.astype(np.uint16).view(np.float16).astype(np.float32)
        tf = count.astype(np.float32)
        share: Floats = tf / (tf + (self.norm[0] + self.norm[1] * postings.lengths[documents].astype(np.float32)))
        return share
