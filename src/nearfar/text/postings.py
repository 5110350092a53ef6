"""Postings: which documents hold each word, or two beside one another, and how often; arrays that never change."""

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

from nearfar.core.errors import BadInput, excerpt
from nearfar.core.plain_arrays import mapped_array
from nearfar.text.words import VERSION, words

RULES = (VERSION, 2)  # that make words, and that say what is kept of them: postings of others are refused
GONE = -1  # the row of a document that was deleted
CHECKED = 1 << 20  # postings looked at at once

PAIR_BITS, SECOND = 32, np.int64(0xFFFFFFFF)  # of the numbers of two words in that of a pair

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Numbers = NDArray[np.integer[Any]]
Entries = tuple[Numbers, Ints, Numbers]  # word or pair, document and count of each


@dataclass(frozen=True)
class Postings:
    """The postings of D documents and T terms: W words in the order of their UTF-8 bytes, then pairs of neighbours.

    The postings of term t are at offsets[t] … offsets[t + 1], their documents rising. Words are neighbours as `words`
    gives them, with what it leaves out left out; the pairs are in the order of their numbers.
    """

    letters: NDArray[np.uint8]  # of all words, joined
    ends: Longs  # (W,) of each word in `letters`
    pairs: Longs  # (T − W,) the number of the first word in the upper half, of the second in the lower
    offsets: Longs  # (T + 1,)
    documents: Ints  # (P,)
    counts: NDArray[np.unsignedinteger[Any]]  # (P,) of the term, or bits of its weight, in as few bytes as hold them
    lengths: Ints  # (D,) words of each document

    @classmethod
    def of(cls, texts: Iterable[str]) -> Postings:
        """Postings of texts; the one that comes i-th is document i."""
        names, rows, lengths = _read(texts)
        documents = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
        counted = _matrix(rows, documents, None, (len(names), len(lengths)))
        beside = documents[1:] == documents[:-1]
        keys, documents = _pair(rows[:-1], rows[1:])[beside], documents[1:][beside]
        del rows, beside  # pairs take the most memory
        pairs, of_pairs = _counted_pairs(keys, documents, None, len(lengths))
        return _postings(names, counted, pairs, of_pairs, lengths)

    @classmethod
    def weighted(cls, weights: sparse.csr_array[np.float32]) -> Postings:
        """Postings of documents whose V tokens have weights (D, V), kept as the bits of float16s that are not 0."""
        halves = weights.data.astype(np.float16).view(np.uint16)
        bits = sparse.csr_array((halves, weights.indices, weights.indptr), weights.shape, copy=True)
        bits.eliminate_zeros()  # of weights that are too small for a half
        lengths = np.diff(bits.indptr).astype(np.int32)
        documents = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
        names = [_bytes(token_term(token)) for token in range(weights.shape[1])]
        counted = _matrix(bits.indices, documents, bits.data, (len(names), len(lengths)))
        none = np.empty(0, np.int32)
        return _postings(names, counted, *_counted_pairs(none, none, none, len(lengths)), lengths)

    @classmethod
    def open(cls, folder: Path) -> Postings:
        """Map the files that `save` wrote into memory.

        Whether they hold the bytes that were written is for the caller's checksums to say.

        Raises:
            BadInput: a file is missing, cut off or no array, or the terms were made by other rules.
        """
        rules = mapped_array(folder / "rules.npy")
        if rules.tolist() != list(RULES):
            raise BadInput.at(folder, expected=f"terms of the rules {list(RULES)}", found=excerpt(str(rules.tolist())),
                              do="build the index again")  # fmt: skip
        opened = cls(**{field.name: mapped_array(folder / f"{field.name}.npy") for field in fields(cls)})
        opened._check(folder)
        return opened

    def _check(self, folder: Path) -> None:
        """Refuse arrays that compiled loops would follow out of memory.

        Raises:
            BadInput: their sizes do not fit each other, or a place lies outside of what it is a place in.
        """
        kinds = {"letters": np.uint8, "ends": np.int64, "pairs": np.int64, "offsets": np.int64, "documents": np.int32,
                 "lengths": np.int32}  # fmt: skip
        sound = (
            all(getattr(self, name).dtype == kind for name, kind in kinds.items())
            and self.counts.dtype.kind == "u"
            and all(getattr(self, field.name).ndim == 1 for field in fields(self))
            and len(self.offsets) == len(self.ends) + len(self.pairs) + 1
            and len(self.documents) == len(self.counts)
            and _divides(np.concatenate([[0], self.ends]), len(self.letters))
            and _divides(self.offsets, len(self.documents))
            and self.documents.min(initial=0) >= 0
            and self.documents.max(initial=-1) < len(self.lengths)
            and self._rises()
            and self._pairs_are_of_words()
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

    def _pairs_are_of_words(self) -> bool:
        """Whether the numbers of pairs rise, and both of each are numbers of words."""
        if not len(self.pairs):
            return True
        parts = (self.pairs[start : start + CHECKED + 1] for start in range(0, len(self.pairs), CHECKED))
        first, last = int(self.pairs[0]) >> PAIR_BITS, int(self.pairs[-1]) >> PAIR_BITS
        return (0 <= first <= last < len(self.ends)
                and all((part[1:] > part[:-1]).all() and (part & SECOND).max() < len(self.ends) for part in parts)
                )  # fmt: skip

    def save(self, folder: Path) -> None:
        """Write one .npy file for each array, and one for the versions of the rules."""
        np.save(folder / "rules.npy", np.array(RULES))
        for field in fields(self):
            np.save(folder / f"{field.name}.npy", getattr(self, field.name))

    def __len__(self) -> int:
        """Number of documents."""
        return len(self.lengths)

    @property
    def size_bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(getattr(self, field.name).nbytes for field in fields(self))

    def number(self, word: str) -> int | None:
        """The number of a word, None where no document holds it."""
        wanted = _bytes(word)
        place = bisect_left(range(len(self.ends)), wanted, key=self._name)
        return place if place < len(self.ends) and self._name(place) == wanted else None

    def number_of_pair(self, first: int | None, second: int | None) -> int | None:
        """The number of two neighbours by those of the words, None where no document holds them so."""
        if first is None or second is None:
            return None
        wanted = first << PAIR_BITS | second
        place = int(np.searchsorted(self.pairs, wanted))
        return len(self.ends) + place if place < len(self.pairs) and self.pairs[place] == wanted else None

    def words(self) -> list[bytes]:
        """All words, in UTF-8."""
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
    names = sorted(set().union(*(segment.words() for segment in segments)))
    place = {name: number for number, name in enumerate(names)}
    lengths = np.empty(len(taken), np.int32)
    parts = []
    for segment, part in zip(segments, rows, strict=True):
        new = np.where(part == GONE, GONE, np.searchsorted(taken, part)).astype(np.int32)
        lengths[new[new != GONE]] = segment.lengths[new != GONE]
        parts.append(_entries(segment, new, place))
    of_words, of_pairs = map(_joined, zip(*parts, strict=True))
    counted = _matrix(*of_words, (len(names), len(taken)))
    return _postings(names, counted, *_counted_pairs(*of_pairs, len(taken)), lengths)


def _joined(parts: Iterable[Entries]) -> Entries:
    terms, documents, counts = (np.concatenate(column) for column in zip(*parts, strict=True))
    return terms, documents, counts


def _read(texts: Iterable[str]) -> tuple[list[bytes], Ints, Ints]:
    """All words in order, and of the texts, one after the other, the number of each word (n,), and how many (D,)."""
    numbers: dict[str, int] = {}
    terms, lengths = array("i"), array("i")
    for text in texts:
        found = [numbers.setdefault(term, len(numbers)) for term in words(text)]
        terms.extend(found)
        lengths.append(len(found))
    names = [_bytes(term) for term in numbers]
    order = sorted(range(len(names)), key=names.__getitem__)
    place = np.empty(len(names), np.int32)  # of each word once they are sorted
    place[order] = np.arange(len(names), dtype=np.int32)
    return [names[i] for i in order], place[np.asarray(terms, np.int32)], np.array(lengths, np.int32)


def _entries(segment: Postings, rows: Ints, place: dict[bytes, int]) -> tuple[Entries, Entries]:
    """Word or pair, document and count of each posting of a live document."""
    numbers = np.fromiter(map(place.__getitem__, segment.words()), np.int64, len(segment.ends))
    pairs = _pair(*(numbers[half] for half in _words_of(segment.pairs)))
    terms, documents = np.repeat(np.concatenate([numbers, pairs]), np.diff(segment.offsets)), rows[segment.documents]
    middle, live = int(segment.offsets[len(numbers)]), documents != GONE
    of_words, of_pairs = ((terms[part][live[part]], documents[part][live[part]], segment.counts[part][live[part]])
                          for part in (slice(middle), slice(middle, None)))  # fmt: skip
    return of_words, of_pairs


def _postings(
    names: Sequence[bytes], counted: sparse.csr_array, pairs: Longs, of_pairs: sparse.csr_array, lengths: Ints
) -> Postings:
    """Postings from counts of words (W, D) and of pairs (N, D), whose words have the numbers of these names."""
    kept = np.flatnonzero(np.diff(counted.indptr))  # words of deleted documents only are dropped
    held = [names[i] for i in kept.tolist()]
    number = np.zeros(len(names), np.int64)
    number[kept] = np.arange(len(kept))
    ends = counted.indptr[np.append(0, kept + 1)].astype(np.int64), of_pairs.indptr[1:].astype(np.int64)
    kind = np.min_scalar_type(max(counted.data.max(initial=0), of_pairs.data.max(initial=0)))
    arrays = Postings(
        letters=np.frombuffer(b"".join(held), np.uint8),
        ends=np.fromiter(accumulate(map(len, held)), np.int64, len(held)),
        pairs=_pair(*(number[half] for half in _words_of(pairs))),
        offsets=np.concatenate([ends[0], counted.nnz + ends[1]]),
        documents=np.concatenate([counted.indices, of_pairs.indices]).astype(np.int32, copy=False),
        counts=np.concatenate([counted.data.astype(kind), of_pairs.data.astype(kind)]),
        lengths=lengths,
    )
    for field in fields(arrays):
        getattr(arrays, field.name).setflags(write=False)
    return arrays


def _matrix(terms: Numbers, documents: Ints, counts: Numbers | None, shape: tuple[int, int]) -> sparse.csr_array:
    """Counts (terms, documents) from entries in any order, of 1 each where None is given; the same ones are summed."""
    data = np.ones(len(terms), np.int32) if counts is None else counts.astype(np.int32)
    return sparse.coo_array((data, (terms, documents)), shape=shape).tocsr()


def _counted_pairs(keys: Numbers, documents: Ints, counts: Numbers | None, size: int) -> tuple[Longs, sparse.csr_array]:
    """The different pairs among the keys of entries, and counts of them (N, size)."""
    pairs = np.unique(keys).astype(np.int64, copy=False)
    numbers = np.empty(len(keys), np.int32)  # np.unique's own would take three times the memory
    for start in range(0, len(keys), CHECKED):
        numbers[start : start + CHECKED] = np.searchsorted(pairs, keys[start : start + CHECKED])
    return pairs, _matrix(numbers, documents, counts, (len(pairs), size))


def _pair(first: Numbers, second: Numbers) -> Longs:
    """The numbers of two words as one."""
    keys = first.astype(np.int64)
    keys <<= PAIR_BITS
    keys |= second
    return keys


def _words_of(pairs: Numbers) -> tuple[Numbers, Numbers]:
    """The numbers of both words of each pair."""
    return pairs >> PAIR_BITS, pairs & SECOND


def _divides(places: Longs, size: int) -> bool:
    """Whether places begin at 0, rise by 1 or more, and end at a size."""
    return bool(places[0] == 0 and places[-1] == size and (places[1:] > places[:-1]).all())


def _bytes(term: str) -> bytes:
    return term.encode("utf-8", "surrogatepass")
