"""Postings: which documents hold each term and how much of it, as plain arrays that never change once they are made."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from nearfar.core.errors import BadInput
from nearfar.core.plain_arrays import mapped_array
from nearfar.text.words import VERSION, words

GONE = -1  # the row of a document that was deleted
CHECKED = 1 << 20  # postings looked at at once

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]


@dataclass(frozen=True)
class Postings:
    """The postings of D documents and T terms, which follow each other in the order of their UTF-8 bytes.

    The postings of term t are at offsets[t] … offsets[t + 1], their documents rising.
    """

    letters: NDArray[np.uint8]  # of all terms, joined
    ends: Longs  # (T,) of each term in `letters`
    offsets: Longs  # (T + 1,)
    documents: Ints  # (P,)
    counts: NDArray[np.unsignedinteger[Any]]  # (P,) of the term, or bits of its weight, in as few bytes as hold them
    lengths: Ints  # (D,) terms of each document

    @classmethod
    def of(cls, texts: Iterable[str]) -> Postings:
        """Postings of texts; the one that comes i-th is document i."""
        numbers: dict[str, int] = {}
        terms, lengths = array("i"), array("i")
        for text in texts:
            found = [numbers.setdefault(term, len(numbers)) for term in words(text)]
            terms.extend(found)
            lengths.append(len(found))
        names = [_bytes(term) for term in numbers]
        order = sorted(range(len(names)), key=names.__getitem__)
        place = np.empty(len(names), np.int32)  # of each term once they are sorted
        place[order] = np.arange(len(names), dtype=np.int32)
        counted = np.asarray(lengths, np.int32)
        documents = np.repeat(np.arange(len(counted), dtype=np.int32), counted)
        rows = place[np.asarray(terms, np.int32)]
        return _postings([names[i] for i in order], (rows, documents, np.ones(len(rows), np.int32)), counted)

    @classmethod
    def weighted(cls, weights: sparse.csr_array[np.float32]) -> Postings:
        """Postings of documents whose V tokens have weights (D, V) above 0, which are kept as the bits of float16s."""
        lengths = np.diff(weights.indptr).astype(np.int32)
        documents = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
        bits = weights.data.astype(np.float16).view(np.uint16).astype(np.int32)
        names = [_bytes(token_term(token)) for token in range(weights.shape[1])]
        return _postings(names, (weights.indices, documents, bits), lengths)

    @classmethod
    def open(cls, folder: Path) -> Postings:
        """Map the files that `save` wrote into memory.

        Whether they hold the bytes that were written is for the caller's checksums to say.

        Raises:
            BadInput: a file is missing, cut off or no array, or the terms were made by other rules.
        """
        rules = mapped_array(folder / "rules.npy")
        version = int(rules) if rules.shape == () and rules.dtype == np.int64 else None
        if version != VERSION:
            raise BadInput.at(folder, expected=f"terms of version {VERSION}", found=f"version {version}",
                              do="build the index again")  # fmt: skip
        opened = cls(**{field.name: mapped_array(folder / f"{field.name}.npy") for field in fields(cls)})
        opened._check(folder)
        return opened

    def _check(self, folder: Path) -> None:
        """Refuse arrays that compiled loops would follow out of memory.

        Raises:
            BadInput: their sizes do not fit each other, or a place lies outside of what it is a place in.
        """
        kinds = {"letters": np.uint8, "ends": np.int64, "offsets": np.int64, "documents": np.int32, "lengths": np.int32}
        sound = (
            all(getattr(self, name).dtype == kind for name, kind in kinds.items())
            and self.counts.dtype.kind == "u"
            and all(getattr(self, field.name).ndim == 1 for field in fields(self))
            and len(self.offsets) == len(self.ends) + 1
            and len(self.documents) == len(self.counts)
            and _divides(np.concatenate([[0], self.ends]), len(self.letters))
            and _divides(self.offsets, len(self.documents))
            and self.documents.min(initial=0) >= 0
            and self.documents.max(initial=-1) < len(self.lengths)
            and self._rises()
        )
        if not sound:
            raise BadInput.at(folder, expected="postings whose places lie in them", found="others",
                              do="build the index again")  # fmt: skip

    def _rises(self) -> bool:
        """Whether the documents of each term rise."""
        for start in range(1, len(self.documents), CHECKED):
            part = self.documents[start - 1 : start + CHECKED]
            falls = np.flatnonzero(part[1:] <= part[:-1]) + start
            if (self.offsets[np.searchsorted(self.offsets, falls)] != falls).any():
                return False
        return True

    def save(self, folder: Path) -> None:
        """Write one .npy file for each array, and one for the version of the rules that made the terms."""
        np.save(folder / "rules.npy", np.int64(VERSION))
        for field in fields(self):
            np.save(folder / f"{field.name}.npy", getattr(self, field.name))

    def __len__(self) -> int:
        """Number of documents."""
        return len(self.lengths)

    @property
    def size_bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(getattr(self, field.name).nbytes for field in fields(self))

    def number(self, term: str) -> int | None:
        """The number of a term, None where no document holds it."""
        wanted = _bytes(term)
        place = bisect_left(range(len(self.ends)), wanted, key=self._name)
        return place if place < len(self.ends) and self._name(place) == wanted else None

    def terms(self) -> list[bytes]:
        """All terms, in UTF-8."""
        return [self._name(number) for number in range(len(self.ends))]

    def _name(self, number: int) -> bytes:
        letters, ends = self._views
        return bytes(letters[ends[number - 1] if number else 0 : ends[number]])

    @cached_property
    def _views(self) -> tuple[memoryview, memoryview]:
        return self.letters.data, self.ends.data  # several times as fast to index as arrays


def token_term(token: int) -> str:
    """The term that stands for a token of this number: its digits, so many that the order is that of the numbers."""
    return f"{token:08}"


def merged(segments: Sequence[Postings], rows: Sequence[Ints]) -> Postings:
    """Postings of the live documents of one segment or more; the i-th lowest row is document i.

    Args:
        rows: row of each document of each segment, GONE where it was deleted; no row twice.
    """
    taken = np.sort(np.concatenate([part[part != GONE] for part in rows]))
    names = sorted(set().union(*(segment.terms() for segment in segments)))
    place = {name: number for number, name in enumerate(names)}
    lengths = np.empty(len(taken), np.int32)
    parts = []
    for segment, part in zip(segments, rows, strict=True):
        new = np.where(part == GONE, GONE, np.searchsorted(taken, part)).astype(np.int32)
        lengths[new[new != GONE]] = segment.lengths[new != GONE]
        parts.append(_entries(segment, new, place))
    terms, documents, counts = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _postings(names, (terms, documents, counts), lengths)


def _entries(segment: Postings, rows: Ints, place: dict[bytes, int]) -> tuple[Ints, Ints, Ints]:
    """Term, document and count of each posting of a live document."""
    numbers = np.fromiter(map(place.__getitem__, segment.terms()), np.int32, len(segment.ends))
    documents = rows[segment.documents]
    live = documents != GONE
    terms = np.repeat(numbers, np.diff(segment.offsets))
    return terms[live], documents[live], segment.counts[live].astype(np.int32)


def _postings(names: Sequence[bytes], entries: tuple[Ints, Ints, Ints], lengths: Ints) -> Postings:
    """Postings from entries of term, document and count in any order; what is the same term and document is summed."""
    terms, documents, counts = entries
    matrix = sparse.coo_array((counts, (terms, documents)), shape=(len(names), len(lengths))).tocsr()
    kept = np.flatnonzero(np.diff(matrix.indptr))  # terms of deleted documents only are dropped
    held = [names[i] for i in kept.tolist()]
    largest = np.min_scalar_type(matrix.data.max(initial=0))
    arrays = Postings(
        letters=np.frombuffer(b"".join(held), np.uint8),
        ends=np.fromiter(accumulate(map(len, held)), np.int64, len(held)),
        offsets=matrix.indptr[np.append(0, kept + 1)].astype(np.int64),
        documents=matrix.indices.astype(np.int32, copy=False),
        counts=matrix.data.astype(largest),
        lengths=lengths,
    )
    for field in fields(arrays):
        getattr(arrays, field.name).setflags(write=False)
    return arrays


def _divides(places: Longs, size: int) -> bool:
    """Whether places begin at 0, rise, and end at a size."""
    return bool(places[0] == 0 and places[-1] == size and (places[1:] >= places[:-1]).all())


def _bytes(term: str) -> bytes:
    return term.encode("utf-8", "surrogatepass")
