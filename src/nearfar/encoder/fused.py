"""A BERT-like stack of layers for training on a CPU, over the real tokens alone, with its backward written out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions as Output

from nearfar.encoder import loops
from nearfar.encoder.dropout import generator
from nearfar.encoder.freezing import first_trained
from nearfar.encoder.fused_layer import Layer, saved_bytes
from nearfar.encoder.fused_pass import Buffers, Dropout, Pass
from nearfar.encoder.packed import is_packable, layers_of
from nearfar.encoder.ragged import LONGEST, TOGETHER

SITES = 3  # of dropout in a layer
SLACK_BYTES = 2**16  # for the alignment of every part


class FusedLayers(nn.Module):
    """The layers of a stack that `is_fusable`; gradients are added to the `.grad` of its parameters."""

    def __init__(self, stack: nn.Module) -> None:
        super().__init__()
        self.layer = stack.layer  # the parameters have the names that they have in the stack
        self._stack = (stack,)  # in a tuple, so that it is not a second child with the same parameters
        self.layers = [Layer(layer, number) for number, layer in enumerate(layers_of(stack))]
        self.heads: int = self.layers[0].attention.heads
        self.scratch, self.free = Buffers(), list[Buffers]()
        self.holding, self.cast_to = False, cast("torch.dtype | None", None)

    @property
    def stack(self) -> nn.Module:
        """The stack as it was."""
        return self._stack[0]

    def forward(self, hidden: Tensor, attention_mask: Tensor | None = None, **options: Any) -> Output:
        """Last hidden states (B, T, d) of (B, T, d), zero at padding; the mask is (B, 1, T, T), true at real tokens."""
        shape = hidden.shape[:2]
        real = hidden.new_ones(shape, dtype=torch.bool) if attention_mask is None else attention_mask[:, 0, 0]
        lengths = real.sum(1).tolist()
        if max(lengths) > LONGEST:
            result: Output = self.stack(hidden, attention_mask=attention_mask, **options)
            return result
        index = real.flatten().nonzero()[:, 0]
        flat = hidden.flatten(0, 1)[index]
        first = 0 if flat.requires_grad else first_trained(layers_of(self.stack))  # nothing to go back for below
        differentiable = torch.is_grad_enabled() and first < len(self.layers)
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else hidden.dtype
        saved = self._saved(len(flat), dtype, len(self.layers) - first) if differentiable else None
        self._cast(dtype)
        groups = np.array(list(_groups_of(lengths)), np.int64)
        places, joined_places = (loops.head_places(groups, self.heads, parts) for parts in (1, 3))
        run = Pass(groups, places, joined_places, self._dropouts(), dtype, self.scratch, saved)
        if differentiable:
            flat = _Stack.apply(flat if flat.requires_grad else flat.requires_grad_(), self, run, first)  # type: ignore[no-untyped-call]
        else:
            flat = self.run(flat, run, 0)
        padded = flat.new_zeros(shape[0] * shape[1], flat.shape[1])
        return Output(last_hidden_state=padded.index_copy(0, index, flat).view(hidden.shape))

    def _saved(self, tokens: int, dtype: torch.dtype, layers: int) -> Buffers:
        """Memory for what a micro-batch keeps of the last `layers` layers until its backward."""
        saved = self.free.pop() if self.free else Buffers()
        saved.reserve(tokens * token_bytes(self.stack.config, dtype, layers) + SLACK_BYTES)
        return saved

    def run(self, flat: Tensor, run: Pass, first: int) -> Tensor:
        """Hidden states after all layers, (n, d); nothing is kept of those below the `first` that is trained."""
        with torch.autocast("cpu", enabled=False):
            below = replace(run, saved=None)
            hidden = self._input(flat.shape, run if first == 0 else below).copy_(flat)
            for layer in self.layers[:first]:
                hidden = layer.forward(hidden, below)
            if first:
                hidden = self._input(flat.shape, run).copy_(hidden)
            for layer in self.layers[first:]:
                hidden = layer.forward(hidden, run)
            return hidden.to(flat.dtype, copy=True)

    def run_back(self, grad: Tensor, run: Pass, first: int) -> Tensor:
        """Gradient before the layer `first` from that after all of them, both (n, d)."""
        with torch.autocast("cpu", enabled=False):
            grads = (
                run.take("input grad", *grad.shape).copy_(grad),
                run.take("first sum residual grad", *grad.shape).zero_(),
            )
            layers = self.layers[first:]
            for layer, before in zip(reversed(layers), [*reversed(layers[:-1]), None], strict=True):
                inputs = (
                    run.keep(before.last_sum.name("result"), *grad.shape) if before else self._input(grad.shape, run)
                )
                grads = layer.backward(grads, inputs, run)
            return grads[0].to(grad.dtype) + grads[1]

    def _input(self, shape: torch.Size, run: Pass) -> Tensor:
        return run.keep((-1, "input"), *shape)

    def _dropouts(self) -> list[list[Dropout]]:
        keys = torch.randint(2**32, (len(self.layers), SITES, 2), generator=generator()).numpy().astype(np.uint32)
        return [
            [_dropout(rate if self.training else 0.0, key) for rate, key in zip(layer.rates, of_layer, strict=True)]
            for layer, of_layer in zip(self.layers, keys, strict=True)
        ]

    def _cast(self, dtype: torch.dtype) -> None:
        if self.holding and self.cast_to == dtype:
            return
        for layer in self.layers:
            for product in layer.products:
                product.cast(dtype)
        self.cast_to = dtype


@contextmanager
def held_weights(model: nn.Module) -> Iterator[None]:
    """Inside the block the weights of `model` do not change: its layers cast them once."""
    fused = [module for module in model.modules() if isinstance(module, FusedLayers)]
    for module in fused:
        module.holding, module.cast_to = True, None
    try:
        yield
    finally:
        for module in fused:
            module.holding = False


class _Stack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, flat: Tensor, layers: FusedLayers, run: Pass, first: int) -> Tensor:
        ctx.layers, ctx.run, ctx.first = layers, run, first
        return layers.run(flat, run, first)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        result = ctx.layers.run_back(grad, ctx.run, ctx.first)
        ctx.layers.free.append(ctx.run.saved)
        return result, None, None, None


def is_fusable(stack: nn.Module) -> bool:
    """Whether this is a stack of BERT-like layers whose parameters are whole: not spread over processes."""
    return is_packable(stack) and all(type(parameter) is nn.Parameter for parameter in stack.parameters())


def token_bytes(config: Any, dtype: torch.dtype, layers: int) -> int:
    """Bytes that so many layers keep of a token until the backward."""
    layer = saved_bytes(config.hidden_size, config.intermediate_size, config.num_attention_heads, dtype)
    return int(layers * layer + config.hidden_size * dtype.itemsize)


def _dropout(rate: float, keys: NDArray[np.uint32]) -> Dropout:
    """A site that drops at `rate`, exact to 2^-32."""
    threshold = min(round(rate * 2**32), 2**32 - 1)
    return (keys[0], keys[1]), np.uint32(threshold), np.float32(1 / (1 - threshold / 2**32))


def _groups_of(lengths: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Rows at once and the tokens in each of them, of rows of these lengths."""
    for length, rows in groupby(lengths):
        left = sum(1 for _ in rows)
        while left > 0:
            count = min(left, max(TOGETHER // max(length, 1), 1))
            yield count, length
            left -= count
