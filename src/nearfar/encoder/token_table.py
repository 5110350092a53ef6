"""The training kernel of a static encoder: means of token vectors, and a gradient that holds the batch's rows alone.

The pooling is a sparse matrix P (texts, tokens of the vocabulary) that holds 1/length a token. Forward is P · table,
which reads rows where they lie. Backward is Pᵀ · gradient, the same kernel with texts and tokens exchanged; its rows
are the unique tokens of the batch, so that nothing of the table's size is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

BLOCK_ROWS = 1024  # of the gradient, computed at a time: a block is still in the cache when it is copied to its place


@dataclass(frozen=True)
class _Pooling:
    """The gradient of a table as a product that is not yet computed: Σ over tokens of weight · gradient[text]."""

    ids: Tensor  # (T,)
    texts: Tensor  # (T,) the text each token belongs to
    weights: Tensor  # (T,) 1/length of that text
    gradient: Tensor  # (B, d)

    def and_(self, other: _Pooling) -> _Pooling:
        """The sum of both gradients."""
        shifted = other.texts + len(self.gradient)
        return _Pooling(
            torch.cat([self.ids, other.ids]),
            torch.cat([self.texts, shifted]),
            torch.cat([self.weights, other.weights]),
            torch.cat([self.gradient, other.gradient]),
        )


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ids: Tensor, offsets: Tensor, weight: Tensor, table: TokenTable) -> Tensor:
        ctx.ids, ctx.offsets, ctx.table = ids, offsets, table
        return functional.embedding_bag(ids, weight.detach(), offsets, mode="mean")

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, None, None]:
        lengths = torch.diff(ctx.offsets, append=ctx.offsets.new_tensor([len(ctx.ids)]))
        texts = torch.repeat_interleave(lengths)
        weights = lengths.to(gradient.dtype).reciprocal_()[texts]
        ctx.table.add(_Pooling(ctx.ids, texts.to(ctx.ids.dtype), weights, gradient.contiguous()))
        return None, None, None, None


class TokenTable(nn.Module):
    """An embedding bag whose backward makes the table's `.grad` a coalesced sparse tensor of the rows that were read.

    The gradient's memory is used again once `.grad` is None: clone what is to outlive the step.
    """

    def __init__(self, table: nn.EmbeddingBag) -> None:
        super().__init__()
        self.weight = table.weight
        self._pooling: _Pooling | None = None  # of the gradient that `weight.grad` holds
        self._made: Tensor | None = None
        self._buffer = self.weight.new_empty(0, self.weight.shape[1])

    def forward(self, ids: Tensor, offsets: Tensor) -> Tensor:
        return _Mean.apply(ids, offsets, self.weight, self)  # type: ignore[no-untyped-call, no-any-return]

    def add(self, pooling: _Pooling) -> None:
        """Add a gradient to the table's.

        Two micro-batches are one product over the texts of both: sums of sparse tensors cost more than they save.
        """
        before = self.weight.grad
        if before is not None and before is not self._made:  # somebody else's
            self.weight.grad = before + self._product(pooling, self.weight.new_empty)
            return
        self._pooling = self._pooling.and_(pooling) if before is not None and self._pooling else pooling
        self._made = self.weight.grad = self._product(self._pooling, self._reused)

    def _product(self, pooling: _Pooling, empty: Callable[[int, int], Tensor]) -> Tensor:
        """Pᵀ · gradient as a coalesced sparse tensor (V, d)."""
        ids, order = torch.sort(pooling.ids, stable=True)
        rows, counts = torch.unique_consecutive(ids, return_counts=True)
        ends = counts.cumsum(0)
        texts, weights = pooling.texts[order], pooling.weights[order]
        values = empty(len(rows), self.weight.shape[1])
        begin = 0
        for start in range(0, len(rows), BLOCK_ROWS):
            stop = min(start + BLOCK_ROWS, len(rows))
            end = int(ends[stop - 1])
            bags = (ends[start:stop] - counts[start:stop] - begin).to(texts.dtype)
            values[start:stop] = functional.embedding_bag(
                texts[begin:end], pooling.gradient, bags, mode="sum", per_sample_weights=weights[begin:end]
            )
            begin = end
        return torch.sparse_coo_tensor(
            rows[None].long(), values, self.weight.shape, is_coalesced=True, check_invariants=False
        )

    def _reused(self, rows: int, columns: int) -> Tensor:
        """Memory that is there already: touching new pages takes longer than the product."""
        if len(self._buffer) < rows:
            self._buffer = self.weight.new_empty(rows, columns)
        return self._buffer[:rows]


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
