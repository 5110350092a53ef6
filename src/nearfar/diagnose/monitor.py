"""The doctor during training: rules over what the loop has at hand, and a few vectors taken every so many steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nearfar.diagnose.collapse import COSINE, NAME, OVERSHOOT, SPREAD, changed
from nearfar.diagnose.evidence import Vectors
from nearfar.diagnose.geometry import mean_cosine, spread, unit

SHARE_OF_A_STEP = 0.01  # what the probe may cost, if documents were no longer than queries; measured: some 2 %
FEWEST_TEXTS, MOST_TEXTS = 8, 64  # of a probe
BACKWARD = 3  # a step encodes forward and backward, a probe only forward

FALLEN = 0.03  # dev nDCG under its best, evaluations later
SCATTER = 0.25
LATER = 2  # evaluations after the best, for a fall to be one


@dataclass(frozen=True)
class Alarm:
    """What was seen in a run, and when."""

    step: int
    failure: str
    reason: str


def probe_size(batch_size: int) -> int:
    """Documents of a probe: enough for the mean cosine to be right to a digit, and not much beside a batch."""
    return min(MOST_TEXTS, max(FEWEST_TEXTS, batch_size // 2))


def every(batch_size: int, probe_texts: int) -> int:
    """Steps between probes, so that they cost at most SHARE_OF_A_STEP of the time of the steps."""
    cost = probe_texts / (BACKWARD * 2 * batch_size)  # in steps; a batch has a query and a document for each pair
    return max(1, -(-round(1000 * cost) // round(1000 * SHARE_OF_A_STEP)))


def of_vectors(step: int, documents: Vectors, before: Vectors) -> Alarm | None:
    """Look for collapse in the vectors of a few documents, (n, d), as they are and as they were before training."""
    now, then = ({"spread": float(spread(rows).mean()), "mean_cosine": mean_cosine(rows)}
                 for rows in (unit(documents), unit(before)))  # fmt: skip
    figures = changed(now, then)
    if all(rule.verdict(figures[rule.figure]) != "fail" for rule in (SPREAD, COSINE)):
        return None
    return Alarm(step, NAME, f"the mean cosine of unlike documents is {now['mean_cosine']:.2f} (at first "
                 f"{then['mean_cosine']:.2f}), their spread {now['spread']:.2f} of a sphere's")  # fmt: skip


def of_losses(losses: Sequence[float], chance: float) -> Alarm | None:
    """Look for steps so large that the loss rises far above where it began and above that of a guess, `chance`."""
    if not losses or OVERSHOOT.verdict(max(losses) / max(losses[0], chance)) != "fail":
        return None
    return Alarm(len(losses), NAME, f"the loss rose from {losses[0]:.2f} to {max(losses):.2f}: "
                 "the learning rate is too high")  # fmt: skip


def of_dev(dev: Sequence[tuple[int, float]], queries: int) -> Alarm | None:
    """Look for quality that has peaked and fallen since: (steps done, nDCG@10) of every evaluation.

    A fall is one of 0.03 or more, and of two standard errors: nDCG of so many queries, on which two states of a model
    differ by some 0.25 (standard deviation), is not known better.
    """
    if len(dev) <= LATER:
        return None
    best = max(range(len(dev)), key=lambda number: dev[number][1])
    (at, value), (step, last) = dev[best], dev[-1]
    if len(dev) - 1 - best < LATER or value - last < max(FALLEN, 2 * SCATTER / math.sqrt(queries)):
        return None
    return Alarm(step, "overfit", f"dev nDCG@10 was best after step {at} with {value:.3f} and has fallen to {last:.3f}")
