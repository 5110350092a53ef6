"""Vectors of length 1, with a backward pass of few passes over memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

SHORTEST = 1e-12  # a vector that is shorter is not made longer than this allows, as in torch's `normalize`


def unit(vectors: Tensor) -> Tensor:
    """Rows x/‖x‖ of (B, d); a row of zeros stays one."""
    result: Tensor = _Unit.apply(vectors)  # type: ignore[no-untyped-call]
    return result


class _Unit(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vectors: Tensor) -> Tensor:
        lengths = torch.linalg.vector_norm(vectors, dim=1, keepdim=True).clamp_(min=SHORTEST)
        result: Tensor = vectors / lengths
        ctx.save_for_backward(result, lengths)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """(g − (g · y) y)/‖x‖."""
        result, lengths = ctx.saved_tensors
        along = torch.linalg.vecdot(gradient, result)[:, None]
        return torch.addcmul(gradient, result, along, value=-1).div_(lengths)
