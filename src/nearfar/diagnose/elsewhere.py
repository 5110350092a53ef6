"""What a model loses on data it was not trained on, beside what it gains on its own (guide, section 7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from nearfar.diagnose.evidence import Contrast, Evidence
from nearfar.diagnose.finding import MOST_EXAMPLES, SEVERITY, Example, Finding, Fix, Threshold, Verdict
from nearfar.evaluate.statistics import interval

FEWEST = 30  # judged queries of a set
A_PRIORI = "set a priori, not on runs: counts where the interval excludes 0, and fails only beside a gain at home"
LOSS = Threshold("elsewhere_gain", -0.01, -0.03, A_PRIORI)
# Three token tables, tuned to other data, had lost .03 to .05 on what their base was trained on: under .01 with either.
ADVICE = (
    "keep more of the base, at the price of some of the gain: train at a fifth of the learning rate, or take the mean "
    "of both (nearfar merge RUN BASE)"
)


@dataclass(frozen=True)
class Loss:
    """The model against its base, or word search, on one set."""

    contrast: Contrast
    gain: float  # mean nDCG@10 of the model less the other's
    high: float  # upper end of the interval of 95 %
    verdict: Verdict


def with_elsewhere(found: Finding, evidence: Evidence) -> Finding:
    """A finding with what the model gains or loses on the other sets, which can make its verdict worse, never better.

    The verdict of a set, with limits that were set a priori:
        watch: the mean loss is at least 0.01, and its interval excludes 0.
        fail: it is at least 0.03, its interval excludes 0, and the model gains on the data at hand: what it learnt
            there has taken the place of what it knew. Where it gains nothing at home, nothing was bought with the loss,
            which no shortcut explains then: it is to be watched.
    The worst set decides: of those with the worst verdict the one with the largest loss. Without a base, word search
    stands for it; that a model is worse than word search is no loss by training, and is shown and not judged.
    A finding that could not tell stays so, unless there is a loss.
    """
    large = [one for one in evidence.elsewhere if len(one.queries) >= FEWEST]
    small = [one for one in evidence.elsewhere if len(one.queries) < FEWEST]
    said = [f"of {one.name} it cannot tell: needs at least {FEWEST} judged queries, found {len(one.queries)}"
            for one in small]  # fmt: skip
    gain = _mean(evidence.at_home)
    figures = {} if np.isnan(gain) else {"gain": gain}
    if not large:
        return replace(found, summary="; ".join([found.summary, *said]), figures={**found.figures, **figures})
    judged = evidence.base is not None
    losses = [_loss(one, gain, judged=judged) for one in large]
    worst = max(losses, key=lambda one: (SEVERITY.index(one.verdict), -one.gain))
    figures |= {"elsewhere_gain": worst.gain, "elsewhere_gain_high": worst.high}
    summary = "; ".join([found.summary, _said(worst, gain, len(large), judged=judged), *said])
    found = replace(found, summary=summary, figures={**found.figures, **figures},
                    thresholds=(*found.thresholds, *([LOSS] if judged else [])))  # fmt: skip
    return found if worst.verdict == "ok" else _raised(found, worst)


def _raised(found: Finding, worst: Loss) -> Finding:
    """The worse of both verdicts, with examples and advice of the loss beside those of the finding."""
    verdict = max((found.verdict, worst.verdict), key=("unknown", *SEVERITY).index)
    examples = _examples(worst.contrast)
    if found.examples:
        examples = examples[: MOST_EXAMPLES // 2]
    advice = "; ".join(part for part in (found.fix.advice, ADVICE) if part)
    return replace(found, verdict=verdict, examples=(*examples, *found.examples)[:MOST_EXAMPLES],
                   fix=Fix(found.fix.patch, advice))  # fmt: skip


def _mean(contrast: Contrast | None) -> float:
    """Mean gain; NaN where nothing was asked."""
    if contrast is None or not len(contrast.queries):
        return float("nan")
    return float((contrast.model - contrast.reference).mean())


def _loss(contrast: Contrast, gain: float, *, judged: bool) -> Loss:
    """The verdict of one set; `gain` is that at home."""
    mean, high = _mean(contrast), interval(contrast.model - contrast.reference, seed=0)[1]
    verdict = LOSS.verdict(mean) if judged and high < 0 else "ok"
    if verdict == "fail" and not gain > 0:  # NaN is none
        verdict = "watch"
    return Loss(contrast, mean, high, verdict)


def _said(worst: Loss, gain: float, sets: int, *, judged: bool) -> str:
    name = worst.contrast.name if sets == 1 else f"{worst.contrast.name}, the worst of {sets} sets,"
    other = "the base" if judged else "word search, which is not judged"
    home = "" if np.isnan(gain) else f"; {gain:+.3f} on the test queries at hand"
    return f"on {name} nDCG@10 {worst.gain:+.3f} (at most {worst.high:+.3f}) against {other}{home}"


def _examples(contrast: Contrast) -> tuple[Example, ...]:
    """Queries of the set that lose most."""
    lost = contrast.model - contrast.reference
    rows = [int(row) for row in np.argsort(lost, kind="stable")[:MOST_EXAMPLES] if lost[row] < 0]
    return tuple(_example(contrast, row) for row in rows)


def _example(contrast: Contrast, row: int) -> Mapping[str, str | float]:
    return {"query elsewhere": contrast.queries[row], "of": contrast.name, "ndcg": float(contrast.model[row]),
            "ndcg_base": float(contrast.reference[row])}  # fmt: skip
