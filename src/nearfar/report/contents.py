"""What a report is made from: plain values and arrays, no model and no data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Curve:
    """What training recorded; a part that was not recorded is empty."""

    losses: tuple[tuple[int, float, float], ...] = ()  # (step, loss, learning rate)
    dev: tuple[tuple[int, float], ...] = ()  # (step, nDCG@10 on the dev set)


@dataclass(frozen=True)
class Similarities:
    """Sampled similarities of queries to relevant and to other documents, under two models."""

    positives_before: NDArray[np.float32]  # (n,)
    negatives_before: NDArray[np.float32]  # (m,)
    positives_after: NDArray[np.float32]  # (n,)
    negatives_after: NDArray[np.float32]  # (m,)


@dataclass(frozen=True)
class Hit:
    """One document of a result list."""

    text: str
    relevant: bool


@dataclass(frozen=True)
class Example:
    """A query with the best documents before and after training, and its nDCG@10 with each."""

    query: str
    before: tuple[Hit, ...]
    after: tuple[Hit, ...]
    score_before: float
    score_after: float


@dataclass(frozen=True)
class ReportData:
    """Everything a report shows; whatever is left empty is left out of the page."""

    title: str
    verdict: str  # one sentence, as evaluate.statistics.verdict says it
    systems: Mapping[str, Mapping[str, Estimate]]  # system → metric → estimate, worst system first, the model last
    curve: Curve = field(default_factory=Curve)
    before: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))  # (Q,) nDCG@10 of each query, base model
    after: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))  # (Q,) the same of the trained model
    similarities: Similarities | None = None
    won: tuple[Example, ...] = ()
    lost: tuple[Example, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
