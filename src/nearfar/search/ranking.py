"""Rows of documents for queries: by vectors, by words, by both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nearfar.core.errors import BadInput
from nearfar.index.codes import CodedIndex, Rescored
from nearfar.index.exact import Vectors
from nearfar.index.generation import Generation
from nearfar.search.aggregate import DocumentOfRow, RankedDocuments, aggregated
from nearfar.search.config import Mode, SearchConfig
from nearfar.search.fusion import COSINE_LOWEST, DEFAULT_WEIGHT, PAD, Candidates, Found, convex, reciprocal_ranks
from nearfar.text.segments import Term

PASSAGES_A_DOCUMENT = 4  # looked for at first, of each document that is wanted

Mask = NDArray[np.bool_]
Rows = NDArray[np.int32]


@dataclass(frozen=True)
class Asked:
    """Queries, as words and as vectors of one model."""

    texts: Sequence[str]
    vectors: Vectors  # (Q, d); (Q, 0) where only words are asked for
    fingerprint: str  # of the model
    terms_of: Callable[[Sequence[str]], Sequence[Sequence[Term]]]  # called when words are asked for

    @cached_property
    def terms(self) -> Sequence[Sequence[Term]]:
        """Of each query: its words, or its tokens with learned weights."""
        return self.terms_of(self.texts)

    def one(self, number: int) -> Asked:
        """One of them."""
        only = slice(number, number + 1)
        return Asked(self.texts[only], self.vectors[only], self.fingerprint, lambda _texts: self.terms[only])

    def of(self, vector: Vectors) -> Asked:
        """A query without words that is a vector (d,) of the same model."""
        return Asked([""], np.ascontiguousarray(vector[None], np.float32), self.fingerprint, self.terms_of)


@dataclass(frozen=True)
class Ranking:
    """The ways to rank the documents of an index."""

    generation: Generation
    codes: CodedIndex | Rescored | None = None  # what answers in the place of the index's own codes or vectors
    config: SearchConfig = SearchConfig()  # noqa: RUF009 -- frozen

    @property
    def weight(self) -> float:
        """Share of the dense score in a hybrid one."""
        own = self.generation.settings.weight
        return next(weight for weight in (self.config.weight, own, DEFAULT_WEIGHT) if weight is not None)

    @property
    def lowest(self) -> float | None:
        """The least that a dense score can be."""
        return COSINE_LOWEST if self.generation.similarity == "cosine" else None

    def ranked(self, asked: Asked, k: int, mode: Mode, allowed: Mask | None = None) -> Found:
        """Rows and scores (Q, k) of the best documents, best first, row −1 in places left over.

        In an index of passages each document comes once, as the passage that earned its place.

        Raises:
            BadInput: the mean of passages is asked for of words.
        """
        if self.of_row is None:
            return self.rows(asked, k, mode, allowed)
        if self.config.aggregate == "mean" and mode != "dense":
            raise BadInput.at("aggregate", expected="max, or mean in dense search", found=f"mean in {mode} search",
                              do="choose max")  # fmt: skip
        rows, scores = np.full((len(asked.texts), k), PAD, np.int32), np.zeros((len(asked.texts), k), np.float32)
        for number in range(len(asked.texts)):
            best = self._documents(self.of_row, asked.one(number), k, mode, allowed)
            rows[number, : len(best.passages)], scores[number, : len(best.scores)] = best.passages, best.scores
        return rows, scores

    def _documents(
        self, of_row: DocumentOfRow, one: Asked, k: int, mode: Mode, allowed: Mask | None
    ) -> RankedDocuments:  # fmt: skip
        """The k best documents for one query: so many passages are looked for until there are as many documents."""
        room, depth = len(self.generation), max(PASSAGES_A_DOCUMENT * k, self.config.depth)
        while True:
            rows, scores = (found[0] for found in self.rows(one, min(depth, room), mode, allowed))
            score = lambda wanted: self.vectors(wanted) @ one.vectors[0]  # noqa: E731
            there = rows != PAD
            best = aggregated(rows[there], scores[there], of_row, k, self.config.aggregate, score=score)
            if len(best.documents) == k or depth >= room or not there.all():
                return best
            depth *= PASSAGES_A_DOCUMENT

    @cached_property
    def of_row(self) -> DocumentOfRow | None:
        """Which document each row is a passage of; None where rows are documents."""
        if not self.generation.table.has_passages:
            return None
        return DocumentOfRow(np.unique(np.array(self.generation.documents), return_inverse=True)[1].astype(np.int64))

    def rows(self, asked: Asked, k: int, mode: Mode, allowed: Mask | None = None) -> Found:
        """Rows and scores (Q, k) of the best documents or passages, best first, row −1 in places left over."""
        if mode == "lexical":
            return self.generation.lexicon.inverted.search(asked.terms, k, allowed)
        if mode == "dense":
            return self.dense(asked, k, allowed)
        candidates = self.candidates(asked, k, allowed)
        if self.config.fusion == "reciprocal_ranks":
            return candidates.best(reciprocal_ranks(candidates), k)
        return candidates.best(convex(candidates, self.weight, lowest=self.lowest), k)

    def candidates(self, asked: Asked, k: int, allowed: Mask | None = None) -> Candidates:
        """What the dense and the lexical search find, with the exact scores of both."""
        depth = max(k, self.config.depth)
        return Candidates.of(
            self.dense(asked, depth, allowed),
            self.generation.lexicon.inverted.search(asked.terms, depth, allowed),
            lambda query, rows: self.vectors(rows) @ asked.vectors[query],
            lambda query, rows: self.generation.lexicon.inverted.scores(asked.terms[query], rows),
        )

    def dense(self, asked: Asked, k: int, allowed: Mask | None = None) -> Found:
        """Rows and scores (Q, k) by vectors, of queries that were moved towards what they find where that is asked for.

        Pseudo-relevance feedback by the mean of the first documents' vectors (Rocchio's; dense: Li et al., 2023).
        """
        source = self.codes or self.generation
        if not self.config.feedback:
            return source.search(asked.vectors, k, asked.fingerprint, allowed)
        rows, _ = source.search(asked.vectors, self.config.feedback, asked.fingerprint, allowed)
        means = np.stack(
            [self._mean(found[found != PAD], query) for found, query in zip(rows, asked.vectors, strict=True)]
        )
        share = self.config.feedback_weight
        moved = ((1 - share) * asked.vectors + share * means).astype(np.float32)
        return source.search(moved, k, asked.fingerprint, allowed)

    def vectors(self, rows: Rows) -> Vectors:
        """Vectors (n, d) of these rows."""
        return self.generation.table.vectors(rows) if self.generation.cells else self.generation.vectors[rows]

    def _mean(self, rows: Rows, query: Vectors) -> Vectors:
        mean: Vectors = self.vectors(rows).mean(axis=0) if len(rows) else query
        return mean
