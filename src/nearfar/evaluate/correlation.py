"""Do similarities order pairs as people did? Rank correlation with its interval, and of two systems the difference."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from nearfar.core.errors import BadInput
from nearfar.evaluate.statistics import CHUNK_NUMBERS, CONFIDENCE

Floats = NDArray[np.float64]
PAIRS_NEEDED = 10


@dataclass(frozen=True)
class Correlation:
    """How well similarities agree with scores."""

    spearman: float
    low: float  # of the 95 % interval of spearman
    high: float
    pearson: float
    pairs: int

    def record(self) -> dict[str, Any]:
        """For JSON."""
        metrics = {"spearman": self.spearman, "pearson": self.pearson}
        return {"metrics": metrics, "intervals": {"spearman": (self.low, self.high)}, "pairs": self.pairs}


@dataclass(frozen=True)
class CorrelationDifference:
    """Spearman's correlation of system `a` minus that of system `b` over the same pairs."""

    difference: float
    low: float  # of its 95 % interval
    high: float


def correlate(
    similarities: Floats, scores: Floats, *, seed: int, resamples: int = 999, where: str = "pairs"
) -> Correlation:
    """Spearman's and Pearson's correlation of similarities (n,) with scores (n,).

    The interval is the percentile bootstrap over the pairs (Efron and Tibshirani, 1993, chapter 13).

    Args:
        where: the pairs are from, for errors.

    Raises:
        BadInput: fewer than ten pairs, different numbers of both, a number that is not finite, or one of both does not
            vary.
    """
    _check(similarities, scores, where)
    low, high = _interval((similarities, scores), _spearman, seed, resamples)
    return Correlation(
        spearman=float(stats.spearmanr(similarities, scores).statistic),
        low=low,
        high=high,
        pearson=float(stats.pearsonr(similarities, scores).statistic),
        pairs=len(scores),
    )


def correlation_difference(
    a: Floats, b: Floats, scores: Floats, *, seed: int, resamples: int = 999
) -> CorrelationDifference:
    """How much better the similarities `a` (n,) agree with scores (n,) than `b` (n,) do; both are resampled together.

    Raises:
        BadInput: as of `correlate`.
    """
    for similarities in (a, b):
        _check(similarities, scores, "pairs")

    def difference(first: Floats, second: Floats, truth: Floats, axis: int) -> Floats:
        return _spearman(first, truth, axis) - _spearman(second, truth, axis)

    low, high = _interval((a, b, scores), difference, seed, resamples)
    return CorrelationDifference(float(difference(a, b, scores, -1)), low, high)


def _spearman(x: Floats, y: Floats, axis: int) -> Floats:
    """Pearson's correlation of the ranks; nan where one of them does not vary."""
    a, b = (stats.rankdata(values, axis=axis) for values in (x, y))
    a, b = (ranks - ranks.mean(axis=axis, keepdims=True) for ranks in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = (a * b).sum(axis=axis) / np.sqrt((a * a).sum(axis=axis) * (b * b).sum(axis=axis))
    return found


def _interval(samples: tuple[Floats, ...], statistic: Any, seed: int, resamples: int) -> tuple[float, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # a sample of one score alone has no correlation
        drawn = stats.bootstrap(
            samples,
            statistic,
            paired=True,
            vectorized=True,
            n_resamples=resamples,
            batch=max(1, CHUNK_NUMBERS // len(samples[0])),
            method="percentile",
            rng=np.random.default_rng(seed),
        ).bootstrap_distribution
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(drawn, (tail, 1 - tail))
    return float(low), float(high)


def _check(similarities: Floats, scores: Floats, where: str) -> None:
    if similarities.shape != scores.shape or scores.ndim != 1:
        raise BadInput.at(where, expected="one similarity a score",
                          found=f"arrays of shape {similarities.shape} and {scores.shape}",
                          do="give both of the same pairs")  # fmt: skip
    if len(scores) < PAIRS_NEEDED:
        raise BadInput.at(where, expected=f"at least {PAIRS_NEEDED} pairs with a score", found=f"{len(scores)}",
                          do="give more, or another split")  # fmt: skip
    for name, values in (("scores", scores), ("similarities", similarities)):
        if not np.isfinite(values).all():
            raise BadInput.at(where, expected=f"finite {name}", found="nan or infinity", do="correct them")
        if np.ptp(values) == 0:
            raise BadInput.at(where, expected=f"{name} that differ", found=f"{values[0]:g} {len(values)} times",
                              do="check data and model: what does not vary has no correlation")  # fmt: skip
