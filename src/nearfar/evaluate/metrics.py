"""Retrieval metrics as trec_eval defines them: pure functions of a run and its judgments, one value a query.

A query without a relevant document counts 0 in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from nearfar.core.config import nearest
from nearfar.core.errors import BadInput
from nearfar.evaluate.run import Judgments, Run

DEEPEST = 10_000  # cut-off: rankings of all queries are held so deep

Scores = NDArray[np.float64]
Metric = Callable[[Run, Judgments, int], Scores]


def ndcg(run: Run, judgments: Judgments, k: int) -> Scores:
    """DCG@k / ideal DCG@k, DCG@k = Σ_{i ≤ k} gain_i / log2(i + 1), (Q,) (Järvelin and Kekäläinen, 2002)."""
    return _ratio(_dcg(judgments.gains_of(run.top(k).documents)), _dcg(judgments.ideal(k)))


def mrr(run: Run, judgments: Judgments, k: int) -> Scores:
    """1 / rank of the first relevant document, 0 when it is not among the first k, (Q,)."""
    hits = _hits(run, judgments, k)
    first = hits & (hits.cumsum(axis=1) == 1)
    reciprocal: Scores = first @ (1 / _ranks(hits))
    return reciprocal


def recall(run: Run, judgments: Judgments, k: int) -> Scores:
    """|relevant documents among the first k| / |relevant documents|, (Q,)."""
    return _ratio(_hits(run, judgments, k).sum(axis=1), judgments.relevant())


def average_precision(run: Run, judgments: Judgments, k: int) -> Scores:
    """Σ_{i ≤ k, i relevant} precision@i / |relevant documents|, (Q,); its mean is MAP@k."""
    hits = _hits(run, judgments, k)
    precision = hits.cumsum(axis=1) / _ranks(hits)
    return _ratio((precision * hits).sum(axis=1), judgments.relevant())


METRICS: dict[str, Metric] = {"ndcg": ndcg, "mrr": mrr, "recall": recall, "map": average_precision}


def measure(run: Run, judgments: Judgments, names: Iterable[str]) -> dict[str, Scores]:
    """Per-query values (Q,) of metrics named like "ndcg@10".

    Raises:
        BadInput: a name is not a known metric with a cut-off, or run and judgments are of different queries.
    """
    if len(run) != len(judgments):
        raise BadInput.at(
            "run", expected=f"{len(judgments)} queries, as judged", found=f"{len(run)}", do="search with the same split"
        )
    parsed = {name: parse(name) for name in names}
    return {name: metric(run, judgments, k) for name, (metric, k) in parsed.items()}


def parse(name: str) -> tuple[Metric, int]:
    """Split "ndcg@10" into its function and its cut-off.

    Raises:
        BadInput: the metric is unknown (the nearest is named) or the cut-off is not a whole number from 1 to DEEPEST.
    """
    kind, _, cutoff = name.partition("@")
    if kind not in METRICS:
        raise BadInput(f"metric '{name}': expected a known metric, found '{kind}'; {nearest(kind, list(METRICS))}")
    if not (cutoff.isascii() and cutoff.isdigit() and 0 < int(cutoff) <= DEEPEST):
        raise BadInput.at(
            f"metric '{name}'",
            expected=f"a cut-off of 1 to {DEEPEST} after '@'",
            found=f"'{cutoff}'" if cutoff else "none",
            do=f"write it like '{kind}@10'",
        )
    return METRICS[kind], int(cutoff)


def _hits(run: Run, judgments: Judgments, k: int) -> NDArray[np.bool_]:
    return judgments.gains_of(run.top(k).documents) > 0


def _ranks(matrix: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.arange(1, matrix.shape[1] + 1)


def _dcg(gains: Scores) -> Scores:
    total: Scores = gains @ (1 / np.log2(np.arange(2, gains.shape[1] + 2)))
    return total


def _ratio(part: NDArray[np.float64 | np.int64], whole: NDArray[np.float64 | np.int64]) -> Scores:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
