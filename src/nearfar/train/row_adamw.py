"""AdamW that touches only the rows a sparse gradient holds."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

BLOCK_BYTES = 1 << 20  # of rows updated at a time: weights, moments and gradient of a block stay in the cache


class RowAdamW(torch.optim.AdamW):
    """AdamW (Loshchilov and Hutter, 2019), lazy where a gradient is sparse.

    A row without a gradient is left as it is: neither its moments nor its weights decay. A row with one is updated as
    by AdamW, with the bias correction of the step's number, as `torch.optim.SparseAdam` does. When every row has a
    gradient in every step, this is AdamW.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002  (torch's)
        """Update every parameter that has a gradient."""
        entries = ((group, p) for group in self.param_groups for p in group["params"])
        sparse = [(group, p) for group, p in entries if p.grad is not None and p.grad.is_sparse]
        gradients = [p.grad for _, p in sparse]
        for (group, p), gradient in zip(sparse, gradients, strict=True):
            self._step_rows(group, p, gradient.coalesce())
            p.grad = None  # the dense step below has nothing to do here
        super().step()
        for (_, p), gradient in zip(sparse, gradients, strict=True):
            p.grad = gradient

    def zero_grad(self, set_to_none: bool = True) -> None:  # noqa: FBT001, FBT002  (torch's signature)
        """Forget sparse gradients; the others are forgotten too, or set to zero."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None and p.grad.is_sparse:
                    p.grad = None
        super().zero_grad(set_to_none)

    def _step_rows(self, group: dict[str, Any], p: Tensor, gradient: Tensor) -> None:
        state = self.state[p]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=p.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(p), torch.zeros_like(p)
        tables = (p, state["exp_avg"], state["exp_avg_sq"])
        rows, values = gradient.indices()[0], gradient.values()
        size = max(1, BLOCK_BYTES // (p.element_size() * p.shape[1]))
        blocks = [table.new_empty(min(size, len(rows)), p.shape[1]) for table in tables]
        for chosen, gradients in zip(rows.split(size), values.split(size), strict=True):
            parts = [block[: len(chosen)] for block in blocks]
            for table, part in zip(tables, parts, strict=True):
                torch.index_select(table, 0, chosen, out=part)
            _update(group, parts, gradients, state["step"].clone())
            for table, part in zip(tables, parts, strict=True):
                table.index_copy_(0, chosen, part)
        state["step"] += 1


def _update(group: dict[str, Any], parts: list[Tensor], gradient: Tensor, step: Tensor) -> None:
    weights, first, second = parts
    beta1, beta2 = group["betas"]
    adamw([weights], [gradient], [first], [second], [], [step], fused=True, amsgrad=False, beta1=beta1, beta2=beta2,
          lr=group["lr"], weight_decay=group["weight_decay"], eps=group["eps"], maximize=False)  # fmt: skip
