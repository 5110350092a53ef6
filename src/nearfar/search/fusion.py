"""One ranking from a dense and a lexical one: by their scores, or by their ranks alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PAD = -1
COSINE_LOWEST = -1.0
RANK_CONSTANT = 60  # of the paper
DEFAULT_WEIGHT = 0.94  # loses the least nDCG@10 to each set's own best, over the dev queries of four sets
WEIGHTS = np.linspace(0, 1, 51)

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]
Found = tuple[Ints, Floats]  # rows and scores (Q, k) as a search gives them: best first, PAD in places left over
Score = Callable[[int, Ints], Floats]  # number of a query, and rows → exact score of each
Metric = Callable[[Ints, Floats], NDArray[np.float64]]  # rows and scores (Q, k) → values (Q,), the higher the better


@dataclass(frozen=True)
class Candidates:
    """The documents that either search found for each query, with the exact scores of both."""

    rows: Ints  # (Q, C), rising, PAD at the end
    dense: Floats  # (Q, C), meaningless at pads
    lexical: Floats  # (Q, C), 0 where a document has no term of the query, meaningless at pads

    @classmethod
    def of(cls, dense: Found, lexical: Found, score_dense: Score, score_lexical: Score) -> Candidates:
        """Join what two searches found for the same queries.

        Args:
            score_dense: called for documents that only the lexical search found.
            score_lexical: called for documents that only the dense search found.
        """
        joined = [np.unique(pair[pair != PAD]) for pair in np.concatenate([dense[0], lexical[0]], axis=1)]
        width = max(map(len, joined), default=0)
        rows = np.full((len(joined), width), PAD, np.int32)
        for query, found in enumerate(joined):
            rows[query, : len(found)] = found
        return cls(rows, _scores(joined, width, dense, score_dense), _scores(joined, width, lexical, score_lexical))

    def best(self, fused: Floats, k: int) -> Found:
        """Rows and scores (Q, k) of the best by fused scores (Q, C), equal ones by row; PAD and 0 where they end."""
        worth = np.where(self.rows == PAD, -np.inf, fused)
        order = np.argsort(-worth, axis=1, kind="stable")[:, :k]
        rows = np.full((len(self.rows), k), PAD, np.int32)
        scores = np.zeros((len(self.rows), k), np.float32)
        rows[:, : order.shape[1]] = np.take_along_axis(self.rows, order, axis=1)
        scores[:, : order.shape[1]] = np.take_along_axis(fused, order, axis=1)
        scores[rows == PAD] = 0
        return rows, scores


def parts(candidates: Candidates, weight: float, *, lowest: float | None = COSINE_LOWEST) -> tuple[Floats, Floats]:
    """What the dense and the lexical score add to the fused one, (Q, C) each.

    weight · φ(dense) and (1 − weight) · φ(lexical), φ(s) = (s − lowest) / (highest of the query's candidates − lowest).

    Args:
        lowest: the least a dense score can be, −1 for a cosine; None for a dot product, which has no such bound: the
            lowest of the query's candidates takes its place. BM25's is 0.
    """
    absent = candidates.rows == PAD
    dense = weight * _unit(candidates.dense, absent, lowest)
    return dense.astype(np.float32), ((1 - weight) * _unit(candidates.lexical, absent, 0)).astype(np.float32)


def convex(candidates: Candidates, weight: float, *, lowest: float | None = COSINE_LOWEST) -> Floats:
    """Convex combination of normalised scores, (Q, C): the sum of `parts` (Bruch, Gai and Ingber, 2023)."""
    dense, lexical = parts(candidates, weight, lowest=lowest)
    return dense + lexical


def reciprocal_ranks(candidates: Candidates) -> Floats:
    """Σ 1 / (60 + rank) over the two rankings, (Q, C) (Cormack, Clarke and Büttcher, 2009).

    Ranks are those among the candidates; a document without a term of the query has no lexical rank, and adds nothing.
    """
    absent = candidates.rows == PAD
    return _reciprocal(candidates.dense, absent) + _reciprocal(candidates.lexical, absent | (candidates.lexical <= 0))


def tuned_weight(candidates: Candidates, metric: Metric, *, k: int = 10, lowest: float | None = COSINE_LOWEST) -> float:
    """The weight of `convex` with the highest mean of the metric at depth k; of equal ones the nearest to the default.

    Args:
        candidates: of queries that are judged and not those of the test.
    """
    means = [metric(*candidates.best(convex(candidates, weight, lowest=lowest), k)).mean() for weight in WEIGHTS]
    highest = np.flatnonzero(np.isclose(means, max(means), rtol=0, atol=1e-9))
    return float(min(WEIGHTS[highest], key=lambda weight: abs(weight - DEFAULT_WEIGHT)))


def _scores(joined: list[Ints], width: int, found: Found, score: Score) -> Floats:
    """Score of every candidate (Q, width): the one that was found with it, or that of `score`."""
    out = np.zeros((len(joined), width), np.float32)
    for query, (rows, own, scores) in enumerate(zip(joined, *found, strict=True)):
        values = out[query, : len(rows)]
        values[np.searchsorted(rows, own[own != PAD])] = scores[own != PAD]
        missing = ~np.isin(rows, own)
        if missing.any():
            values[missing] = score(query, rows[missing])
    return out


def _unit(scores: Floats, absent: NDArray[np.bool_], lowest: float | None) -> NDArray[np.float64]:
    """Scores moved and scaled so that `lowest` is 0 and the query's highest is 1; all 0 where the two are the same."""
    wide = scores.astype(np.float64)
    least = np.where(absent, np.inf, wide).min(axis=1, keepdims=True, initial=np.inf) if lowest is None else lowest
    highest = np.where(absent, -np.inf, wide).max(axis=1, keepdims=True, initial=-np.inf)
    spread = np.where(highest > least, highest - least, np.inf)
    return np.where(absent, 0, wide - np.where(np.isfinite(least), least, 0)) / spread


def _reciprocal(scores: Floats, absent: NDArray[np.bool_]) -> Floats:
    order = np.argsort(np.where(absent, np.inf, -scores), axis=1, kind="stable")
    ranks = np.argsort(order, axis=1, kind="stable") + 1
    return np.where(absent, 0, 1 / (RANK_CONSTANT + ranks)).astype(np.float32)
