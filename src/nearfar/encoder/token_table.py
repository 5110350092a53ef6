"""The training kernel of a static encoder: means of token vectors, and a gradient that holds the batch's rows alone.

The pooling is a sparse matrix P (texts, tokens of the vocabulary) that holds each token's share of a text. Forward is
P · table, which reads rows where they lie. Backward is Pᵀ · gradient, the same kernel with texts and tokens exchanged;
its rows are the unique tokens of the batch, so that nothing of the table's size is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Variable

from nearfar.encoder.sparse_rows import SparseRows


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ids: Tensor, starts: Tensor, weight: Tensor, table: TokenTable) -> Tensor:
        ctx.table, ctx.pooling = table, SparseRows.means(ids, starts, len(weight))
        ctx.number = next(table.forwards)
        pooling: SparseRows = ctx.pooling
        return pooling.times(weight.detach(), weight.new_empty(len(starts), weight.shape[1]))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, None, None]:
        ctx.table.add(_Part(ctx.number, ctx.pooling, gradient.contiguous()))
        return None, None, None, None


@dataclass(frozen=True)
class _Part:
    """What a micro-batch adds to the gradient: Pᵀ · gradient."""

    number: int  # of its forward pass
    pooling: SparseRows
    gradient: Tensor  # (B, d)


class TokenTable(nn.Module):
    """An embedding bag whose backward makes the table's `.grad` a coalesced sparse tensor of the rows that were read.

    The gradient's memory is used again once `.grad` is None: clone what is to outlive the step.
    """

    def __init__(self, table: nn.EmbeddingBag) -> None:
        super().__init__()
        self.weight = table.weight
        self.forwards = count()
        self._parts: list[_Part] = []  # of the gradient that `weight.grad` holds, or will when backward ends
        self._made: Tensor | None = None
        self._waiting = False
        self._memory: dict[str, Tensor] = {}

    def forward(self, ids: Tensor, offsets: Tensor) -> Tensor:
        return _Mean.apply(ids, offsets, self.weight, self)  # type: ignore[no-untyped-call, no-any-return]

    def add(self, part: _Part) -> None:
        """Add to the table's gradient when the backward pass that asks for it ends.

        Micro-batches are one product over the texts of all: sums of sparse tensors cost more than they save.
        """
        if not self._waiting:
            Variable._execution_engine.queue_callback(self._make)
            if self._made is None or self.weight.grad is not self._made:
                self._parts = []
        self._waiting = True
        self._parts.append(part)

    def _make(self) -> None:
        self._waiting = False
        before = self.weight.grad
        foreign = before is not None and before is not self._made
        self._parts.sort(key=lambda part: part.number)  # a backward of several comes to them in another order
        gradients = [part.gradient for part in self._parts]
        if len(gradients) > 1:
            size = sum(map(len, gradients))
            gradients = [torch.cat(gradients, out=self._reused("texts", size))]
        rows, shares = SparseRows.joined([part.pooling for part in self._parts]).transposed(len(self.weight))
        out = self.weight.new_empty(len(rows), self.weight.shape[1]) if foreign else self._reused("rows", len(rows))
        values = shares.times(gradients[0], out)
        made = torch.sparse_coo_tensor(rows[None], values, self.weight.shape, is_coalesced=True, check_invariants=False)
        self.weight.grad = made if before is None or not foreign else before + made
        self._made = None if foreign else made

    def _reused(self, name: str, rows: int) -> Tensor:
        """Memory that is there already: touching new pages takes longer than the product."""
        memory = self._memory.get(name)
        if memory is None or len(memory) < rows:
            memory = self._memory[name] = self.weight.new_empty(rows + rows // 8, self.weight.shape[1])
        return memory[:rows]


@contextmanager
def training_table(module: nn.Module) -> Iterator[None]:
    """Train a StaticEmbedding with the kernel of this file inside the block; it is as it was afterwards.

    A frozen table is left alone.
    """
    table = module.embedding
    if not (isinstance(table, nn.EmbeddingBag) and table.weight.requires_grad):
        yield
        return
    module.embedding = TokenTable(table)
    try:
        yield
    finally:
        module.embedding = table
