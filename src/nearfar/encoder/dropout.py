"""Dropout for training on a CPU, where torch draws one Bernoulli number an element: from one random byte an element."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

LEVELS = 256  # of a random byte: a dropout rate is rounded to 1/256, and the survivors are scaled by the rounded rate
_here = threading.local()  # each thread embeds a micro-batch of its own


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw dropout inside the block, in this thread, from a generator that starts with `seed`."""
    torch.manual_seed(seed)  # for modules that bring their own dropout
    _here.generator = torch.Generator().manual_seed(seed)
    try:
        yield
    finally:
        _here.generator = None


def generator() -> torch.Generator | None:
    """The generator of the innermost `seeded` block; None stands for torch's default one."""
    return getattr(_here, "generator", None)


def dropped(rate: float) -> int:
    """Random bytes below this number drop their element."""
    return round(rate * LEVELS)


def survivors(shape: torch.Size, rate: float) -> Tensor:
    """Tensor of `shape` that is 0 with probability `rate` and 1 otherwise, from the generator of the
    `seeded` block, or the default one.

    It holds bytes, not booleans: a product of bf16 and bytes is four times faster on a CPU (LOG.md).
    """
    count = math.prod(shape)
    words = torch.empty((count + 7) // 8, dtype=torch.int64).random_(-(2**63), None, generator=generator())
    keep = words.view(torch.uint8)[:count].view(shape) >= dropped(rate)
    return keep.view(torch.uint8)


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, rate: float) -> Tensor:
        keep = survivors(inputs.shape, rate)
        ctx.scale = 1 / (1 - dropped(rate) / LEVELS)
        ctx.save_for_backward(keep)
        return (inputs * keep).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (keep,) = ctx.saved_tensors
        return (grad * keep).mul_(ctx.scale), None


class ByteDropout(nn.Module):
    """Dropout (Srivastava et al., 2014) that draws one random byte an element; the rate is rounded to 1/256."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, inputs: Tensor) -> Tensor:
        active = self.training and dropped(self.p) > 0
        return _Dropout.apply(inputs, self.p) if active else inputs  # type: ignore[no-untyped-call]
