"""From passages found to documents, each with the passage that earned its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nearfar.core.errors import BadInput
from nearfar.core.ragged import Ragged

BLOCK_DOCUMENTS = 4096  # whose vectors are read at once

How = Literal["max", "mean"]
Integers = NDArray[np.integer]
Floats = NDArray[np.float32]
Score = Callable[[NDArray[np.int64]], Floats]


@dataclass(frozen=True)
class RankedDocuments:
    """Documents of one query, best first; n ≤ k of them."""

    documents: NDArray[np.int64]  # (n,)
    scores: Floats  # (n,)
    passages: NDArray[np.int64]  # (n,), row of the best passage of each


@dataclass(frozen=True)
class DocumentOfRow:
    """Which document each passage is of, both ways."""

    documents: Integers  # (rows,)
    norms: Floats | None = None  # (D,), lengths of the documents' mean passage vectors, for cosine

    @cached_property
    def rows(self) -> Ragged:
        """The passages of each document, by rising row."""
        return Ragged.from_pairs(self.documents.astype(np.int32), np.arange(len(self.documents), dtype=np.int32),
                                 int(self.documents.max(initial=-1)) + 1)  # fmt: skip


def mean_norms(vectors: Floats, of: DocumentOfRow) -> Floats:
    """‖1/|D| Σ_{p ∈ D} p‖ of each document, from its passages' vectors (rows, d); (D,), 1 where it has none."""
    norms = np.ones(len(of.rows), np.float32)
    filled = np.flatnonzero(of.rows.lengths)
    for start in range(0, len(filled), BLOCK_DOCUMENTS):
        block = filled[start : start + BLOCK_DOCUMENTS]
        members = of.rows.take(block)
        sums = np.add.reduceat(vectors[members.values], members.offsets[:-1], axis=0)
        norms[block] = np.linalg.norm(sums / members.lengths[:, None], axis=1)
    return norms


def aggregated(
    rows: Integers, scores: Floats, of: DocumentOfRow, k: int, how: How = "max", *, score: Score | None = None
) -> RankedDocuments:
    """The k best documents among those of the passages found for one query; ties by lower document and lower row.

    max:  s(q, D) = max_{p ∈ D} ⟨q, p⟩ over the passages found (MaxP; Dai & Callan, 2019);
    mean: s(q, D) = 1/|D| Σ_{p ∈ D} ⟨q, p⟩ = ⟨q, 1/|D| Σ p⟩ over all passages of D: the score of their mean vector (the
    aggregation without attention of SEA; Hu et al., 2023). Where `of` has its norms, it is divided by them, as cosine
    is: the mean of many unit vectors is shorter than one, and long documents would lose for their length.

    Where passages of fewer than k documents were found, there are as few results: ask for more passages.

    Args:
        rows: of the passages found, (P,), in any order.
        scores: of these, (P,).
        score: of passages by their rows, for the query; only `mean` needs it.

    Raises:
        BadInput: there is no such way, or `mean` was asked for without `score`.
    """
    if how not in ("max", "mean"):
        raise BadInput.at("aggregation", expected="max or mean", found=f"'{how}'", do="choose one of them")
    found = of.documents[rows].astype(np.int64)
    if how == "max":
        return _best(found, rows.astype(np.int64), scores, k)
    if score is None:
        raise BadInput.at("aggregation", expected="a way to score passages", found="none", do="hand in `score`, or max")
    candidates = np.unique(found)
    members = of.rows.take(candidates)
    every = members.values.astype(np.int64)
    passage_scores = score(every)
    best = _best(np.repeat(candidates, members.lengths), every, passage_scores, len(candidates))
    sums = np.bincount(members.row_of_value(), weights=passage_scores, minlength=len(candidates))
    means = sums / members.lengths / (1 if of.norms is None else of.norms[candidates])
    passages = best.passages[np.argsort(best.documents)]  # in the order of the candidates
    chosen = np.lexsort((candidates, -means))[:k]
    return RankedDocuments(candidates[chosen], means[chosen].astype(np.float32), passages[chosen])


def _best(documents: NDArray[np.int64], rows: NDArray[np.int64], scores: Floats, k: int) -> RankedDocuments:
    """Rank documents by their best passage."""
    order = np.lexsort((rows, -scores, documents))
    firsts = order[np.flatnonzero(np.diff(documents[order], prepend=-1))]  # the best passage of each document
    chosen = firsts[np.lexsort((documents[firsts], -scores[firsts]))[:k]]
    return RankedDocuments(documents[chosen], scores[chosen], rows[chosen])
