"""Two embedding spaces over the same texts: how alike they are, and whether queries of one search the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes

from nearfar.core.ragged import Ragged
from nearfar.diagnose.evidence import Rows, Scores, Vectors
from nearfar.diagnose.geometry import unit
from nearfar.evaluate.metrics import ndcg, recall
from nearfar.evaluate.run import PAD, Judgments, Run

DEPTH = 10
MOST_QUERIES = 500
MOST_DOCUMENTS = 2000


@dataclass(frozen=True)
class Draw:
    """A sample of judged queries and of documents: every relevant one and others, ascending."""

    queries: Rows
    documents: Rows
    relevant: Ragged  # (queries) as places in `documents`


def draw(relevant: Ragged, documents: int, *, queries: int = MOST_QUERIES, most: int = MOST_DOCUMENTS) -> Draw:
    """Queries by a fixed seed while all that is relevant to them fits, then other documents up to `most`."""
    rng = np.random.default_rng(0)
    order = rng.permutation(len(relevant))[:queries]
    asked = relevant.take(order)
    _, first = np.unique(asked.values, return_index=True)
    new = np.bincount(asked.row_of_value()[first], minlength=len(order)).cumsum()
    kept = np.sort(order[new <= most])
    needed = np.unique(relevant.take(kept).values).astype(np.int64)
    others = np.setdiff1d(rng.permutation(documents)[:most], needed)
    rows = np.sort(np.concatenate([needed, rng.permutation(others)[: most - len(needed)]]))
    part = relevant.take(kept)
    return Draw(kept, rows, Ragged(part.offsets, np.searchsorted(rows, part.values).astype(np.int32)))


@dataclass(frozen=True)
class Spaces:
    """The same texts in an old and a new space; the old queries may be missing."""

    old: Vectors  # (n, d) documents
    new: Vectors  # (n, d′)
    old_queries: Vectors | None  # (Q, d)
    new_queries: Vectors  # (Q, d′)
    relevant: Ragged  # (Q) rows of the documents

    def cells(self) -> dict[str, tuple[Vectors, Vectors]]:
        """Queries and documents of every cell of the recall matrix that can be scored."""
        queries = {"old": self.old_queries, "new": self.new_queries}
        documents = {"old": self.old, "new": self.new}
        return {f"{asked}_queries_{kept}_documents": (q, d) for asked, q in queries.items() if q is not None
                for kept, d in documents.items() if q.shape[1] == d.shape[1]}  # fmt: skip


def ranks(queries: Vectors, documents: Vectors, relevant: Ragged) -> dict[str, Scores]:
    """recall@10 and nDCG@10 of each query (Q,), all relevant documents counting alike."""
    found = _nearest(queries, documents)
    judgments = Judgments(relevant, np.ones(len(relevant.values), np.float32))
    return {"recall": recall(found, judgments, DEPTH), "ndcg": ndcg(found, judgments, DEPTH)}


def _nearest(queries: Vectors, documents: Vectors) -> Run:
    """The best documents by inner product; what is no number is not found."""
    scores = np.nan_to_num(queries @ documents.T, nan=-np.inf, neginf=-np.inf)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH].astype(np.int32)
    values = np.take_along_axis(scores, best, axis=1).astype(np.float32)
    return Run.ranked(np.where(np.isneginf(values), PAD, best).astype(np.int32), values)


def cosines(first: Vectors, second: Vectors) -> NDArray[np.float32]:
    """Cosine of each row of one with the same row of the other, (n,); two rows of zeros are one (an empty text)."""
    found: NDArray[np.float32] = np.einsum("nd,nd->n", unit(first), unit(second))
    return np.where(first.any(axis=1) | second.any(axis=1), found, np.float32(1))


def linear_cka(first: Vectors, second: Vectors) -> float:
    """‖YᵀX‖² / (‖XᵀX‖ ‖YᵀY‖) of centred columns, (n, d) and (n, d′): 1 where one is the other turned and scaled.

    Kornblith et al. (2019), section 3.
    """
    x, y = (part.astype(np.float64) - part.mean(axis=0, dtype=np.float64) for part in (first, second))
    size = float(np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
    return float(np.square(np.linalg.norm(y.T @ x))) / size if size else float("nan")


def procrustes_residual(old: Vectors, new: Vectors) -> float:
    """‖Y − XR‖ / ‖Y‖ with the rotation R that best turns X into Y, the narrower padded with zeros.

    R is of one half of the rows and the residual of the other: what would be left after the best rotation of queries.
    NaN where a half has fewer rows than dimensions, because R is not determined then (Schönemann, 1966).
    """
    width, half = max(old.shape[1], new.shape[1]), len(old) // 2
    if half < width:
        return float("nan")
    x, y = (np.pad(part, ((0, 0), (0, width - part.shape[1]))).astype(np.float64) for part in (new, old))
    order = np.random.default_rng(0).permutation(len(x))
    fit, rest = order[:half], order[half:]
    rotation, _ = orthogonal_procrustes(x[fit], y[fit])
    return float(np.linalg.norm(y[rest] - x[rest] @ rotation) / np.linalg.norm(y[rest]))
