"""Which training documents answer a query though nobody says so, and which of these training would take for wrong."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearfar.core.folding import numbered
from nearfar.core.near_duplicates import by_tokens, tokens
from nearfar.core.ragged import Ragged
from nearfar.diagnose.evidence import Evidence, Mask, Rows, Subject, Vectors
from nearfar.diagnose.geometry import near_duplicates

MARGIN = 0.05  # a judge that puts a document this far below the positive holds it for worse (NV-Retriever's 95 %)
PART = re.compile(r"[^\W\d_]+|\d+")
CAPITAL = re.compile(r"(?<=[a-z\d])(?=[A-Z])")
BLOCK = 1 << 16
BLOCK_BITS = 1 << 24


@dataclass(frozen=True)
class Triples:
    """A training query, its positive, and another document; all (n,)."""

    queries: Rows
    positives: Rows
    documents: Rows

    def where(self, keep: Mask) -> Triples:
        """Those at which `keep` (n,) is true."""
        return self.at(np.flatnonzero(keep))

    def at(self, rows: Rows) -> Triples:
        """Those of these rows."""
        return Triples(self.queries[rows], self.positives[rows], self.documents[rows])

    def and_also(self, other: Triples) -> Triples:
        """These, then those of another."""
        columns = (np.concatenate([getattr(part, name) for part in (self, other)])
                   for name in ("queries", "positives", "documents"))  # fmt: skip
        return Triples(*columns)


@dataclass(frozen=True)
class Likeness:
    """The documents that are nearly each positive of the training queries."""

    positives: Rows  # (P,) ascending
    by_tokens: Ragged  # (P)
    by_vectors: Ragged | None  # (P), of the base, or of the model where there is no base

    @classmethod
    def of(cls, evidence: Evidence) -> Likeness:
        """Look at all documents of the evidence."""
        positives = np.unique(evidence.train.relevant.values).astype(np.int64)
        subject = evidence.base or evidence.model
        vectors = None if subject is None else near_duplicates(subject.documents, positives)
        return cls(positives, by_tokens([tokens(text) for text in evidence.documents], positives), vectors)

    def triples(self, relevant: Ragged, alike: Ragged) -> Triples:
        """Each training query with the documents that are nearly one of its positives."""
        found = alike.take(np.searchsorted(self.positives, relevant.values))
        edge = found.row_of_value()
        return Triples(relevant.row_of_value()[edge], relevant.values[edge].astype(np.int64),
                       found.values.astype(np.int64))  # fmt: skip


def suspects(evidence: Evidence, likeness: Likeness) -> Triples:
    """The documents that answer a training query by all that can be told, and are not masked in training.

    Nearly the text of the positive, and none of the query's words tells them apart; or nearly the vector of the
    positive by the base, which scores it as high for the query. A base that puts either clearly below the positive
    clears it. The model in training is no judge: it has learned to tell them apart, right or wrong.
    """
    relevant = evidence.train.relevant
    found = likeness.triples(relevant, likeness.by_tokens)
    found = found.where(~_told_apart(evidence, found))
    if evidence.base is not None and likeness.by_vectors is not None:
        found = found.and_also(likeness.triples(relevant, likeness.by_vectors))
        found = found.where(_as_good(evidence.base, found))
    found = found.where(~masked(evidence, found))
    if evidence.near_duplicates_masked:
        found = found.where(~nearly_positive(evidence, likeness, found))
    _, first = np.unique(found.queries * len(evidence.documents) + found.documents, return_index=True)
    return found.at(first)


def nearly_positive(evidence: Evidence, likeness: Likeness, triples: Triples) -> Mask:
    """Whether the document is nearly a positive of the query by its tokens, (n,): training can mask these."""
    alike, size = likeness.triples(evidence.train.relevant, likeness.by_tokens), len(evidence.documents)
    found: Mask = np.isin(triples.queries * size + triples.documents, alike.queries * size + alike.documents)
    return found


def masked(evidence: Evidence, triples: Triples) -> Mask:
    """Whether training leaves the document out: the text of a positive or of the query, or the positive's group."""
    numbers = numbered([*evidence.documents, *evidence.train.queries])
    documents, asking = numbers[triples.documents], numbers[len(evidence.documents) :]  # equal queries are one query
    relevant, count = evidence.train.relevant, len(numbers)
    known = asking[relevant.row_of_value()] * count + numbers[relevant.values]
    own = asking[triples.queries]
    found: Mask = (documents == own) | np.isin(own * count + documents, known) | _one_group(evidence, triples)
    return found


def keys(evidence: Evidence) -> Rows:
    """A number for each document, (D,): its group's, or its text's where it has none."""
    groups = evidence.groups or [""] * len(evidence.documents)
    return numbered([f"g {group}" if group else f"t {text}"
                     for group, text in zip(groups, evidence.documents, strict=True)])  # fmt: skip


def _one_group(evidence: Evidence, triples: Triples) -> Mask:
    if not evidence.groups:
        return np.zeros(len(triples.queries), np.bool_)
    numbers = numbered(["", *evidence.groups])[1:]
    own, other = numbers[triples.positives], numbers[triples.documents]
    found: Mask = (own == other) & (own != 0)
    return found


def _told_apart(evidence: Evidence, triples: Triples) -> Mask:
    """Whether the query holds a word of the positive that the document lacks, (n,).

    Sets of words are rows of bits: boilerplate makes millions of triples of a few thousand texts.
    """
    change = np.diff(triples.queries * len(evidence.documents) + triples.positives, prepend=-1) != 0
    pair, first = np.cumsum(change) - 1, np.flatnonzero(change)  # triples of one query and positive stand together
    held = np.zeros(len(evidence.documents), np.bool_)
    held[triples.positives] = held[triples.documents] = True
    documents = {row: _words(evidence.documents[row]) for row in np.flatnonzero(held).tolist()}
    asked = {row: _words(evidence.train.queries[row]) for row in set(triples.queries[first].tolist())}
    shared = [asked[query] & documents[positive] for query, positive in
              zip(triples.queries[first].tolist(), triples.positives[first].tolist(), strict=True)]  # fmt: skip
    numbers = {word: number for number, word in enumerate(sorted(set().union(*shared)))}
    wanted, lacking = _bits(shared, numbers), ~_bits(documents.values(), numbers)
    place = (np.cumsum(held) - 1)[triples.documents]
    found = np.empty(len(pair), np.bool_)
    size = max(1, BLOCK_BITS // (64 * wanted.shape[1]))
    for start in range(0, len(pair), size):
        block = slice(start, start + size)
        found[block] = (wanted[pair[block]] & lacking[place[block]]).any(axis=1)
    return found


def _bits(sets: Collection[frozenset[str]], numbers: Mapping[str, int]) -> NDArray[np.uint64]:
    """Which of the numbered words each set holds, a bit a word, (sets, ⌈words / 64⌉)."""
    rows = Ragged.of([[numbers[word] for word in found & numbers.keys()] for found in sets])
    bits = np.zeros((len(rows), -(-max(1, len(numbers)) // 64)), np.uint64)
    column, bit = np.divmod(rows.values, 64)
    np.bitwise_or.at(bits, (rows.row_of_value(), column), np.uint64(1) << bit.astype(np.uint64))
    return bits


def _words(text: str) -> frozenset[str]:
    """Words and numbers of a text, those inside identifiers too, case-folded."""
    return frozenset(PART.findall(CAPITAL.sub(" ", text).casefold()))


def _as_good(judge: Subject, triples: Triples) -> Mask:
    """Whether the judge scores the document at most `MARGIN` of the positive's score below it, (n,)."""
    own = scores(judge, triples.queries, triples.positives)
    good: Mask = scores(judge, triples.queries, triples.documents) >= own - MARGIN * np.abs(own)
    return good


def scores(judge: Subject, queries: Rows, documents: Rows) -> Vectors:
    """The judge's scores of pairs of a training query and a document, (n,)."""
    found = np.empty(len(queries), np.float32)
    for start in range(0, len(queries), BLOCK):
        block = slice(start, start + BLOCK)
        found[block] = np.einsum("nd,nd->n", judge.train[queries[block]], judge.documents[documents[block]])
    return found
