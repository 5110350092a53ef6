"""Two runs side by side: the paired comparison of their models on the queries of the test set that both answered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from nearfar.core.errors import BadInput
from nearfar.evaluate.statistics import compare, decide, detectable
from nearfar.report.kept import Scores, scores

MAIN = "ndcg@10"  # that the verdict is about


class Compared(BaseModel):
    """A metric of both models, and how much better the first is."""

    model_config = ConfigDict(allow_inf_nan=False)

    metric: str
    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    p_value: float
    wins: int
    """Queries on which the first is better."""
    losses: int
    ties: int


class RunsCompared(BaseModel):
    """The first run against the second, on the same queries."""

    a: str
    b: str
    queries: int
    verdict: str
    """"better", "worse" or "cannot tell": of the first, by nDCG@10."""
    detectable: float
    """The smallest difference of nDCG@10 that four of five such experiments would show."""
    metrics: list[Compared]


def compared(a: Path, b: Path) -> RunsCompared:
    """Compare two runs by the scores that each kept of its test queries.

    Raises:
        BadInput: one has kept none, or they are of different test sets.
    """
    first, second = scores(a), scores(b)
    _check_same(a, b, first, second)
    names = [name for name in _metrics(first) if f"model/{name}" in second]
    if MAIN not in names:
        raise BadInput.at(b.name, expected=f"{MAIN} of each query, as '{a.name}' has", found="none", do="train again")
    found = {name: compare(first[f"model/{name}"], second[f"model/{name}"], seed=0) for name in names}
    scatter = first[f"model/{MAIN}"] - second[f"model/{MAIN}"]
    metrics = [Compared(metric=name, **asdict(one)) for name, one in found.items()]
    return RunsCompared(a=a.name, b=b.name, queries=len(scatter), verdict=decide(found[MAIN]),
                        detectable=detectable(scatter), metrics=metrics)  # fmt: skip


def _check_same(a: Path, b: Path, first: Scores, second: Scores) -> None:
    """Refuse different test sets: BM25, which every run measures, scores each query of the same one alike."""
    shared = [name for name in first if name == "queries" or (name.startswith("bm25/") and name in second)]
    enough = len(shared) > 1 and len(first["queries"]) > 1  # one query has no interval
    same = enough and all(_alike(first[name], second[name]) for name in shared)
    if not same:
        raise BadInput.at(a.name, expected=f"the test set of '{b.name}'", found="another",
                          do="compare them on one: nearfar compare A B --data D")  # fmt: skip


def _alike(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    return one.shape == other.shape and bool(np.allclose(one, other, atol=1e-6))


def _metrics(scores: Scores) -> Iterator[str]:
    """Names of the model's metrics, the main one first."""
    names = [name.removeprefix("model/") for name in scores if name.startswith("model/")]
    yield from sorted(names, key=lambda name: name != MAIN)
