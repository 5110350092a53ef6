"""Do both sides compute the same gradient?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from ours import Nearfar
from peer import DEFAULTS, Pair, Peer
from torch import Tensor, nn

from nearfar.encoder.precision import Policy
from nearfar.losses import info_nce
from nearfar.train.config import TrainConfig
from nearfar.train.step import step


def gradient_difference(pairs: Sequence[Pair], max_tokens: int) -> float:
    """‖g − g′‖ / ‖g‖ over all parameters, fp32, without dropout, on fresh models."""
    ours, theirs = Nearfar(max_tokens, TrainConfig()), Peer(max_tokens, TrainConfig())
    for model in (ours.encoder.model, theirs.model):
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
    with ours.training(Policy()):
        step(ours.encoder, ours.batch(pairs, 0), info_nce, Policy())
    theirs.backward(theirs.collate(pairs, DEFAULTS), theirs.loss(DEFAULTS))
    a, b = _gradient(theirs.model), _gradient(ours.encoder.model)
    return float((a - b).norm() / a.norm())


def _gradient(model: nn.Module) -> Tensor:
    parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]
    return torch.cat([part.flatten() for part in parts])
