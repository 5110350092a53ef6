"""The length of what codes stand for, which no ranking depends on."""

from __future__ import annotations

from torch import Tensor

LEAST = 1e-6  # variance below which nothing varies, and the scale of it


def nearest_scale(standing: Tensor, vectors: Tensor) -> tuple[Tensor, float]:
    """Base (d,) and scale > 0 of what codes stand for, ŷ (n, d): base + scale · ŷ is nearest to vectors (n, d).

    Every query ranks base + scale · ŷ as it ranks ŷ: base adds the same to all scores. Vectors that differ by rounding
    alone have the least scale: what codes stand for is then chance, another on each machine.
    """
    mean, apart = standing.mean(dim=0), standing - standing.mean(dim=0)
    common, own = (apart * vectors).sum().item(), apart.square().sum().item()
    varies = (vectors - vectors.mean(dim=0)).square().sum().item() > LEAST * vectors.square().sum().item()
    scale = common / own if varies and common > 0 and own > LEAST * len(vectors) else LEAST
    return vectors.mean(dim=0) - scale * mean, scale
