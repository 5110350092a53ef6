"""AdamW that touches only the rows a sparse gradient holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.adamw import adamw

from nearfar.encoder.sparse_rows import has_kernels


class RowAdamW(torch.optim.AdamW):
    """AdamW (Loshchilov and Hutter, 2019), lazy and without a first moment where a gradient is sparse.

    A row without a gradient is left as it is: neither its moment nor its weights decay. A row with one is updated as
    by AdamW with β₁ = 0 and the bias correction of the step's number. A mean of gradients would mix those of steps that
    lie far apart, and retrieval is measurably worse for it (LOG.md). When every row has a gradient in every step, this
    is AdamW with β₁ = 0.
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
            state["exp_avg_sq"] = torch.zeros_like(p)
        state["step"] += 1
        rows, values = gradient.indices()[0], gradient.values()
        tables = (p, state["exp_avg_sq"])
        if has_kernels(p) and all(t.dtype == torch.float32 and t.is_contiguous() for t in (values, *tables)):
            _compiled(group, rows, values, tables, int(state["step"]))
            return
        parts = [table[rows] for table in tables]
        _update(group, parts, values, state["step"] - 1)
        for table, part in zip(tables, parts, strict=True):
            table.index_copy_(0, rows, part)


def _compiled(group: dict[str, Any], rows: Tensor, gradient: Tensor, tables: tuple[Tensor, Tensor], step: int) -> None:
    from nearfar.train.row_kernel import adamw_rows  # noqa: PLC0415  (numba takes a while to import)

    (_, beta2), rate = group["betas"], group["lr"]
    rates = [1 - rate * group["weight_decay"], rate, beta2, 1 - beta2]
    with np.errstate(over="ignore"):  # weights that a rate beyond fp32 makes infinite are found and told
        settings = np.array([*rates, (1 - beta2**step) ** -0.5, group["eps"]], np.float32)
    weights, second = (table.detach().numpy() for table in tables)
    adamw_rows(rows.numpy(), gradient.numpy(), (weights, second), settings, torch.get_num_threads())


def _update(group: dict[str, Any], parts: list[Tensor], gradient: Tensor, step: Tensor) -> None:
    weights, second = parts
    (_, beta2), first = group["betas"], torch.zeros_like(weights)
    adamw([weights], [gradient], [first], [second], [], [step], fused=True, amsgrad=False, beta1=0.0, beta2=beta2,
          lr=group["lr"], weight_decay=group["weight_decay"], eps=group["eps"], maximize=False)  # fmt: skip
