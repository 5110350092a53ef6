"""Assignments that use every centroid alike."""

from __future__ import annotations

import math

from torch import Tensor

ROUNDS = 20  # of Sinkhorn's iteration


def balanced(errors: Tensor, epsilon: float) -> Tensor:
    """The centroid of each of n points, from squared errors (n, K), so that each has about n / K points; (n,).

    arg max over k of the transport plan P that minimises ⟨P, errors⟩ − ε·H(P) with even sums of rows and of columns
    (Sinkhorn's iteration; Zhan et al., 2022, RepCONC). ε is a share of the mean error.
    """
    logits = -errors / (epsilon * errors.mean())
    for _ in range(ROUNDS):
        logits = logits - logits.logsumexp(dim=0) + math.log(len(errors) / errors.shape[1])
        logits = logits - logits.logsumexp(dim=1, keepdim=True)
    return logits.argmax(dim=1)
