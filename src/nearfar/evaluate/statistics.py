"""Is one system better than another on the same queries? Paired tests that assume no distribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from nearfar.core.errors import BadInput

CONFIDENCE = 0.95
CHUNK_NUMBERS = 1 << 20  # numbers resampled at a time: 8 MiB, whatever the number of queries


@dataclass(frozen=True)
class Comparison:
    """System `a` against system `b` over the same queries; `difference` is a − b."""

    mean_a: float
    mean_b: float
    difference: float
    low: float  # of the 95 % interval of the difference
    high: float
    p_value: float  # two-sided
    wins: int  # queries on which a is better
    losses: int
    ties: int


def compare(a: NDArray[np.float64], b: NDArray[np.float64], *, seed: int, resamples: int = 9999) -> Comparison:
    """Compare per-query scores (Q,) of two systems.

    The interval is the percentile bootstrap of the mean difference, the p-value the paired randomisation test
    (Smucker, Allan and Carterette, 2007).

    Raises:
        BadInput: the systems were not scored on the same queries, on none, or a score is not a number.
    """
    _check(a, b)
    difference = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    low, high = interval(difference, seed=seed, resamples=resamples)
    return Comparison(
        mean_a=float(np.mean(a)),
        mean_b=float(np.mean(b)),
        difference=float(difference.mean()),
        low=low,
        high=high,
        p_value=_randomisation(difference, seed, resamples),
        wins=int((difference > 0).sum()),
        losses=int((difference < 0).sum()),
        ties=int((difference == 0).sum()),
    )


def interval(values: NDArray[np.float64], *, seed: int, resamples: int = 9999) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean of `values` (Q,); errors as of `compare`."""
    _check(values, values)
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])  # scipy answers nan where nothing varies
    result = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=resamples,
        batch=max(1, CHUNK_NUMBERS // len(values)),
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


@dataclass(frozen=True)
class Share:
    """The mean of one system as a share of another's, with its 95 % interval."""

    value: float
    low: float
    high: float


def share(part: NDArray[np.float64], whole: NDArray[np.float64], *, seed: int = 0, resamples: int = 9999) -> Share:
    """mean(part) / mean(whole) of per-query scores (Q,), with the percentile bootstrap over the queries, paired.

    Raises:
        BadInput: as of `compare`; or the whole is 0 for all queries.
    """
    _check(part, whole)
    if not whole.any():
        raise BadInput.at("share", expected="queries with an answer", found="a mean of 0", do="measure on others")
    value = float(_ratio(part, whole))
    if np.allclose(part, value * whole, atol=0):
        return Share(value, value, value)  # scipy answers nan where nothing varies
    drawn = stats.bootstrap(
        (part, whole),
        _ratio,
        paired=True,
        n_resamples=resamples,
        batch=max(1, CHUNK_NUMBERS // len(part)),
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return Share(value, float(drawn.confidence_interval.low), float(drawn.confidence_interval.high))


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    """Ratio of the means; 1 where both are 0."""
    parts, wholes = part.sum(axis=axis), whole.sum(axis=axis)
    ratios: NDArray[np.float64] = np.divide(parts, wholes, out=np.ones_like(wholes), where=wholes > 0)
    return ratios


def verdict(comparison: Comparison, metric: str, *, names: tuple[str, str] = ("", ""), level: float = 0.05) -> str:
    """Say in one sentence whether system a is better than system b, with the figures.

    Args:
        metric: what was compared, as shown to people ("nDCG@10").
        names: of system a and system b, shown beside their means when given.
        level: of significance; the interval must exclude 0 as well.
    """
    first, second = (f" ({name})" if name else "" for name in names)
    c = comparison
    return (
        f"{decide(c, level=level)}: {metric} {c.mean_a:.3f}{first} against {c.mean_b:.3f}{second}, {c.difference:+.3f} "
        f"(95 % interval {c.low:+.3f} to {c.high:+.3f}), {_p_text(c.p_value)}"
    )


def decide(comparison: Comparison, *, level: float = 0.05, p_value: float | None = None) -> str:
    """The answer alone: "better", "worse" or "cannot tell"; `p_value` is one corrected for other comparisons."""
    if (comparison.p_value if p_value is None else p_value) >= level or comparison.low <= 0 <= comparison.high:
        return "cannot tell"
    return "better" if comparison.difference > 0 else "worse"


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number, in the given order (Holm, 1979): valid whatever depends on what."""
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    raised = np.maximum.accumulate(np.asarray(p_values, np.float64)[order] * factors).clip(max=1)
    corrected = np.empty(len(p_values))
    corrected[order] = raised
    return [float(value) for value in corrected]


def detectable(difference: NDArray[np.float64], *, level: float = 0.05, power: float = 0.8) -> float:
    """Smallest mean difference that so many queries with this scatter show, in a share `power` of experiments.

    (z₁₋level/₂ + z_power) · σ / √Q, for paired scores (Q,) whose mean is nearly normal.
    """
    if len(difference) < 2:
        return float("inf")
    quantiles = stats.norm.ppf(1 - level / 2) + stats.norm.ppf(power)
    return float(quantiles * difference.std(ddof=1) / np.sqrt(len(difference)))


def _check(a: NDArray[np.float64], b: NDArray[np.float64]) -> None:
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise BadInput.at(
            "comparison",
            expected="one score a query from each system",
            found=f"arrays of shape {a.shape} and {b.shape}",
            do="score both on the same queries",
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise BadInput.at("comparison", expected="finite scores", found="nan or infinity", do="score the runs again")


def _randomisation(difference: NDArray[np.float64], seed: int, resamples: int) -> float:
    """(1 + times a random choice of signs moves the sum as far as it was observed) / (1 + resamples)."""
    moved = difference[difference != 0]  # flipping the sign of a tie changes nothing
    total = moved.sum()
    observed = abs(total) - 1e-9 * np.abs(moved).sum()  # sums that differ by rounding are the same sum
    rng = np.random.default_rng(seed)
    rows = max(1, CHUNK_NUMBERS // max(1, len(moved)))
    extreme = 0
    for start in range(0, resamples, rows):
        sums = 2 * (_coins(rng, min(rows, resamples - start), len(moved)) @ moved) - total
        extreme += int((np.abs(sums) >= observed).sum())
    return (1 + extreme) / (1 + resamples)


def _coins(rng: np.random.Generator, rows: int, columns: int) -> NDArray[np.float64]:
    """Fair zeros and ones; eight to a random byte, which makes the test ten times faster than scipy's."""
    packed = rng.integers(0, 256, (rows, -(-columns // 8)), dtype=np.uint8)
    return np.unpackbits(packed, axis=1, count=columns).astype(np.float64)


def _p_text(p_value: float) -> str:
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"
