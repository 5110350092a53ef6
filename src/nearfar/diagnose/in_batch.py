"""What a query meets in a batch that is drawn from the training pairs."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln

from nearfar.diagnose.evidence import Scores


def met(answers: Scores, pairs: float, batch_size: float) -> Scores:
    """Probability (Q,) that a batch of a query's pair and others holds one or more of its `answers` (Q,) in them.

    Without replacement: 1 − C(n − a, b) / C(n, b), of n = pairs − 1 others and b = batch_size − 1 drawn. Answers
    counted in a sample need be no whole numbers.
    """
    others, drawn = pairs - 1, min(batch_size, pairs) - 1
    free = np.maximum(others - np.asarray(answers, np.float64), 0)  # the pairs that are no answer
    none = np.full(len(free), -np.inf)
    possible = free >= drawn
    none[possible] = _log_choose(free[possible], drawn) - _log_choose(np.array(others), drawn)
    return np.where(np.asarray(answers) > 0, -np.expm1(np.minimum(none, 0)), 0.0)


def harm_begins(answers: Scores, pairs: float, tolerated: float) -> float:
    """The smallest batch size at which more than that share of the queries meets an answer; infinite if none does."""
    low, high = 1, max(int(pairs), 1)
    if not len(answers) or met(answers, pairs, high).mean() <= tolerated:
        return float("inf")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if met(answers, pairs, middle).mean() > tolerated else (middle, high)
    return float(high)


def _log_choose(n: Scores, k: float) -> Scores:
    logarithm: Scores = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return logarithm
