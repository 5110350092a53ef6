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

    @cached_property
    def rows(self) -> Ragged:
        """The passages of each document, by rising row."""
        return Ragged.from_pairs(self.documents.astype(np.int32), np.arange(len(self.documents), dtype=np.int32),
                                 int(self.documents.max(initial=-1)) + 1)  # fmt: skip


def aggregated(
    rows: Integers, scores: Floats, of: DocumentOfRow, k: int, how: How = "max", *, score: Score | None = None
) -> RankedDocuments:
    """The k best documents among those of the passages found for one query; ties by lower document and lower row.

    max:  s(q, D) = max_{p ∈ D} ⟨q, p⟩ over the passages found (MaxP; Dai & Callan, 2019, section 3);
    mean: s(q, D) = 1/|D| Σ_{p ∈ D} ⟨q, p⟩ = ⟨q, 1/|D| Σ p⟩ over all passages of D, the score of their mean vector, not
    normalised again (mean pooling, the aggregation without attention of SEA; Hu et al., 2023).

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
        return _best(found, rows.astype(np.int64), scores, None, k)
    if score is None:
        raise BadInput.at("aggregation", expected="a way to score passages", found="none", do="hand in `score`, or max")
    members = of.rows.take(np.unique(found))
    every = members.values.astype(np.int64)
    return _best(of.documents[every].astype(np.int64), every, score(every), members.lengths, k)


def _best(
    documents: NDArray[np.int64], rows: NDArray[np.int64], scores: Floats, lengths: NDArray[np.int64] | None, k: int
) -> RankedDocuments:
    """Rank documents by their best passage, or where `lengths` are given by the mean of theirs."""
    order = np.lexsort((rows, -scores, documents))
    documents, rows, scores = documents[order], rows[order], scores[order]
    starts = np.flatnonzero(np.diff(documents, prepend=-1))  # the best passage of each document
    totals = scores[starts]
    if lengths is not None and len(starts):
        totals = (np.add.reduceat(scores.astype(np.float64), starts) / lengths).astype(np.float32)
    chosen = np.lexsort((documents[starts], -totals))[:k]
    return RankedDocuments(documents[starts][chosen], totals[chosen], rows[starts][chosen])
