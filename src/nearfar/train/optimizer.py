"""AdamW with its parameter groups and the learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Protocol

import torch
from torch import nn

from nearfar.train.row_adamw import RowAdamW

SHARE = "share"  # of the learning rate, that a group of parameters has


class Decay(Protocol):
    """The part of a configuration that the optimizer needs."""

    @property
    def weight_decay(self) -> float: ...


def learning_rate_factor(step: int, steps: int, warmup: float) -> float:
    """Share of the peak learning rate at `step` (from 0): linear warm-up, then a cosine to zero at `steps`."""
    rising = max(1, math.ceil(warmup * steps)) if warmup else 0
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def adamw(
    modules: Iterable[nn.Module],
    config: Decay,
    *,
    peak: float,
    fused: bool = True,
    rates: Sequence[tuple[nn.Parameter, float]] = (),
) -> RowAdamW:
    """AdamW (Loshchilov and Hutter, 2019); vectors and scalars (biases, norms, temperature) are not decayed.

    A sparse gradient touches the rows it holds.

    Args:
        fused: update many tensors at once; whole and sharded ones cannot be mixed there.
        rates: those of the parameters with a peak rate of their own, which are not decayed.
    """
    apart = {id(p) for p, _ in rates}
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad and id(p) not in apart]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        *({"params": [p], "weight_decay": 0.0, SHARE: rate / peak} for p, rate in rates),
    ]
    return RowAdamW(
        [group for group in groups if group["params"]], lr=peak, fused=fused, foreach=None if fused else False
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Give every group the learning rate `value`, or its share of it."""
    for group in optimizer.param_groups:
        group["lr"] = value * group.get(SHARE, 1.0)
