"""One BERT-like layer with its backward written out, in parts: products, attention, feed-forward, sum and norm.

Matrix products go to torch, everything between them to `encoder.loops`. Scores are computed again in the backward from
their logarithmic sums (FlashAttention; Dao et al., 2022), and so is what GELU gives. Every part reads and writes memory
that its `Pass` lends it. In shapes, n is the tokens of a micro-batch, d the hidden size and H the heads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nearfar.encoder import loops
from nearfar.encoder.packed import products_of

CHUNK_BYTES = 2**23  # sizes of saved memory are rounded up to this, so that one micro-batch's suits the next
ALIGNED = 64  # bytes, a line of the cache
Dropout = tuple[tuple[np.uint32, np.uint32], np.uint32, np.float32]  # keys, threshold and scale, as the loops take them


class Buffers:
    """Memory by name, kept and given again: touching new pages is slower than the arithmetic on them."""

    def __init__(self) -> None:
        self._held: dict[object, Tensor] = {}
        self._chunk, self._left = torch.empty(0, dtype=torch.uint8), 0

    def reserve(self, size_bytes: int) -> None:
        """Forget all names, and have so many bytes for the next ones in one piece, on as few pages as can be."""
        if len(self._chunk) < size_bytes:
            self._chunk = torch.empty(-(-size_bytes // CHUNK_BYTES) * CHUNK_BYTES, dtype=torch.uint8)
        self._held, self._left = {}, len(self._chunk)

    def __call__(self, name: object, *shape: int, dtype: torch.dtype) -> Tensor:
        """Tensor of `shape`, with what was written under this name and shape the last time, if anything was."""
        size = math.prod(shape)
        held = self._held.get(name)
        if held is None or len(held) < size or held.dtype != dtype:
            held = self._held[name] = self._new(size, dtype)
        return held[:size].view(shape)

    def _new(self, size: int, dtype: torch.dtype) -> Tensor:
        size_bytes = -(-size * dtype.itemsize // ALIGNED) * ALIGNED
        if size_bytes > self._left:
            return torch.empty(size, dtype=dtype)
        start = len(self._chunk) - self._left
        self._left -= size_bytes
        return self._chunk[start : start + size_bytes].view(dtype)[:size]


@dataclass(frozen=True)
class Pass:
    """One micro-batch on its way through the layers, and the memory it uses there."""

    groups: NDArray[np.int64]  # (groups, 2): rows, tokens in each of them
    places: NDArray[np.uint32]  # of the rows of heads of what attention gives, as `loops.head_places` has them
    joined_places: NDArray[np.uint32]  # of those of queries, keys and values
    dropouts: Sequence[Sequence[Dropout]]  # of each layer's sites: scores, attention's sum, the last sum
    dtype: torch.dtype  # of products and of what they give
    scratch: Buffers
    saved: Buffers | None  # of this micro-batch alone, until its backward

    def take(self, name: str, *shape: int) -> Tensor:
        """Memory until somebody takes the same name."""
        return self.scratch(name, *shape, dtype=self.dtype)

    def keep(self, name: tuple[int, str], *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Memory until the backward, where there will be one."""
        if self.saved is None:
            return self.scratch(name[1], *shape, dtype=dtype or self.dtype)
        return self.saved(name, *shape, dtype=dtype or self.dtype)


class Layer:
    """A layer of a stack that `is_fusable`; gradients are added to the `.grad` of its parameters."""

    def __init__(self, layer: Any, number: int) -> None:
        *projections, attended, inner, outer = products_of(layer)
        self.attention = _Attention(projections, layer.attention.self, number)
        self.attended, self.inner, self.outer = _Product([attended]), _Product([inner]), _Product([outer])
        self.first_sum = _AddNorm(attended.bias, layer.attention.output.LayerNorm, (number, "first sum"))
        self.last_sum = _AddNorm(outer.bias, layer.output.LayerNorm, (number, "last sum"))
        dropouts = layer.attention.self.dropout, layer.attention.output.dropout, layer.output.dropout
        self.rates = [dropout.p for dropout in dropouts]
        self.products = [self.attention.projection, self.attended, self.inner, self.outer]
        self.number = number

    def forward(self, hidden: Tensor, run: Pass) -> Tensor:
        """Hidden states (n, d) after this layer, of those before it."""
        _, drop_first, drop_last = run.dropouts[self.number]
        branch = self.attended.forward(self.attention.forward(hidden, run), run.take("branch", *hidden.shape))
        middle = self.first_sum.forward(branch, hidden, drop_first, run)
        inner = self.inner.forward(middle, run.keep((self.number, "inner"), len(hidden), self.inner.size))
        outer = run.take("outer", *inner.shape)
        loops.gelu(array(inner), array(self.inner.bias), array(outer))
        return self.last_sum.forward(self.outer.forward(outer, branch), middle, drop_last, run)

    def backward(self, grads: tuple[Tensor, Tensor], hidden: Tensor, run: Pass) -> tuple[Tensor, Tensor]:
        """Two parts of the gradient at `hidden` from two of that at the result, all (n, d)."""
        _, drop_first, drop_last = run.dropouts[self.number]
        shape, number = hidden.shape, self.number
        residual, branch = self.last_sum.backward(grads, drop_last, run)
        inner = run.keep((number, "inner"), len(hidden), self.inner.size)
        outer, inner_grad = run.take("outer", *inner.shape), run.take("inner grad", *inner.shape)
        self.outer.input_grad(branch, inner_grad)
        bias = np.zeros(self.inner.size, np.float32)
        loops.gelu_backward(array(inner), array(inner_grad), array(outer), bias)
        self.outer.add_grad(branch, outer, run)
        middle = run.keep(self.first_sum.name("result"), *shape)
        self.inner.add_grad(inner_grad, middle, run, bias)
        middle_grad = self.inner.input_grad(inner_grad, run.take("middle grad", *shape))
        residual, branch = self.first_sum.backward((middle_grad, residual), drop_first, run)
        self.attended.add_grad(branch, self.attention.result(run, shape), run)
        attended_grad = self.attended.input_grad(branch, run.take("middle grad", *shape))
        return self.attention.backward(attended_grad, hidden, run), residual


class _Product:
    """x Wᵀ of linear modules side by side, without their bias."""

    def __init__(self, modules: Sequence[nn.Linear], scales: Sequence[float] = (1.0,)) -> None:
        self.modules, self.scales = modules, scales
        self.size = sum(module.out_features for module in modules)
        self.weight, self.bias = torch.empty(0), torch.empty(0)  # until they are cast

    @torch.no_grad()
    def cast(self, dtype: torch.dtype) -> None:
        """Take the weights as they are now."""
        parts = list(zip(self.modules, self.scales, strict=True))
        weights, biases = [m.weight * by for m, by in parts], [m.bias * by for m, by in parts]
        self.weight = torch.cat(weights).to(dtype)
        self.bias = torch.cat(biases).float()

    def forward(self, inputs: Tensor, out: Tensor) -> Tensor:
        return torch.mm(inputs, self.weight.T, out=out)

    def input_grad(self, grad: Tensor, out: Tensor) -> Tensor:
        return torch.mm(grad, self.weight, out=out)

    def add_grad(self, grad: Tensor, inputs: Tensor, run: Pass, bias: NDArray[np.float32] | None = None) -> None:
        """Add to the weights' gradients, and to those of the biases where the column sums of `grad` are given."""
        weight = torch.mm(grad.T, inputs, out=run.take("weight grad", *self.weight.shape))
        start = 0
        for module, scale in zip(self.modules, self.scales, strict=True):
            here = slice(start, start := start + module.out_features)
            add_grad(module.weight, array(weight[here]), scale)
            if bias is not None:
                add_grad(module.bias, bias[None, here], scale)


class _AddNorm:
    """LayerNorm(dropout(branch + bias) + residual)."""

    def __init__(self, bias: Tensor, norm: nn.LayerNorm, name: tuple[int, str]) -> None:
        self.bias, self.norm, self.place = bias, norm, name

    def name(self, what: str) -> tuple[int, str]:
        number, place = self.place
        return number, f"{place} {what}"

    def forward(self, branch: Tensor, residual: Tensor, dropout: Dropout, run: Pass) -> Tensor:
        normed, result = (run.keep(self.name(what), *branch.shape) for what in ("normed", "result"))
        deviations = run.keep(self.name("deviations"), len(branch), dtype=torch.float32)
        weight, shift, bias = (array(parameter) for parameter in (self.norm.weight, self.norm.bias, self.bias))
        loops.add_norm(array(branch), bias, array(residual), weight, shift, np.float32(self.norm.eps), *dropout,
                       array(normed), array(deviations), array(result))  # fmt: skip
        return result

    def backward(self, grads: tuple[Tensor, Tensor], dropout: Dropout, run: Pass) -> tuple[Tensor, Tensor]:
        """Gradients at residual and branch, from two parts of that at the result."""
        part, rest = grads
        normed = run.keep(self.name("normed"), *part.shape)
        deviations = run.keep(self.name("deviations"), len(part), dtype=torch.float32)
        residual, branch = run.take(f"{self.place[1]} residual grad", *part.shape), run.take("branch", *part.shape)
        sums = np.zeros((3, part.shape[1]), np.float32)
        parameters: tuple[Tensor, ...] = (self.norm.weight, self.norm.bias, self.bias)
        loops.add_norm_backward(array(part), array(rest), array(normed), array(deviations), array(self.norm.weight),
                                *dropout, array(residual), array(branch), sums)  # fmt: skip
        for parameter, total in zip(parameters, sums, strict=True):
            add_grad(parameter, total[None], 1.0)
        return residual, branch


class _Attention:
    """Attention within each row, with dropout, from hidden states to the heads' results side by side."""

    def __init__(self, projections: Sequence[nn.Linear], module: Any, number: int) -> None:
        self.heads, self.number = module.num_attention_heads, number
        self.projection = _Product(projections, (module.scaling, 1.0, 1.0))  # the scores' scale, taken into the query

    def forward(self, hidden: Tensor, run: Pass) -> Tensor:
        joined = self.projection.forward(hidden, run.take("joined", len(hidden), self.projection.size))
        split, logsums = self._saved(run, hidden.shape)
        loops.split_heads(array(joined), array(self.projection.bias), run.joined_places, array(split))
        heads = run.take("heads", len(split) // 3, split.shape[1])
        for group in _groups(run.groups, self.heads):
            query, key, value = group.parts(split)
            scores = torch.bmm(query, key.mT, out=group.scores("scores", run))
            loops.softmax_dropout(array(scores.flatten(0, 1)), array(logsums[group.here]), group.first,
                                  *run.dropouts[self.number][0])  # fmt: skip
            torch.bmm(scores, value, out=heads[group.here].view(value.shape))
        result = self.result(run, hidden.shape)
        loops.merge_heads(array(heads), run.places, array(result))
        return result

    def result(self, run: Pass, shape: torch.Size) -> Tensor:
        """Where the forward's result is, (n, d)."""
        return run.keep((self.number, "attended"), *shape)

    def backward(self, grad: Tensor, hidden: Tensor, run: Pass) -> Tensor:
        """Gradient at `hidden` from that at the result, both (n, d)."""
        split, logsums = self._saved(run, hidden.shape)
        split_grad, heads_grad = (
            run.take("split grad", *split.shape),
            run.take("heads", len(split) // 3, split.shape[1]),
        )
        none = np.zeros(grad.shape[1], np.float32)
        loops.split_heads(array(grad), none, run.places, array(heads_grad))
        for group in _groups(run.groups, self.heads):
            query, key, value = group.parts(split)
            query_grad, key_grad, value_grad = group.parts(split_grad)
            given = heads_grad[group.here].view(value.shape)
            scores = torch.bmm(query, key.mT, out=group.scores("scores", run))
            grads = torch.bmm(given, value.mT, out=group.scores("score grads", run))
            loops.softmax_dropout_backward(array(scores.flatten(0, 1)), array(grads.flatten(0, 1)),
                                           array(logsums[group.here]), group.first,
                                           *run.dropouts[self.number][0])  # fmt: skip
            torch.bmm(scores.mT, given, out=value_grad)
            torch.bmm(grads, key, out=query_grad)
            torch.bmm(grads.mT, query, out=key_grad)
        joined = run.take("joined", len(hidden), self.projection.size)
        loops.merge_heads(array(split_grad), run.joined_places, array(joined))
        bias = np.zeros(self.projection.size, np.float32)
        loops.add_columns(array(joined), bias)
        self.projection.add_grad(joined, hidden, run, bias)
        return self.projection.input_grad(joined, run.take("input grad", *hidden.shape))

    def _saved(self, run: Pass, shape: torch.Size) -> tuple[Tensor, Tensor]:
        """Queries, keys and values of each group, and the logarithmic sums of their scores."""
        cells = shape[0] * self.heads
        split = run.keep((self.number, "split"), 3 * cells, shape[1] // self.heads)
        return split, run.keep((self.number, "logsums"), cells, dtype=torch.float32)


@dataclass(frozen=True)
class _Group:
    """Rows of the same length, whose scores are taken at once."""

    cells: int  # rows × heads
    length: int
    here: slice  # of its tokens' heads
    first: int  # position of its first score among all of the micro-batch, for dropout

    def parts(self, split: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values, each (rows × heads, length, d / H)."""
        block = split[3 * self.here.start : 3 * self.here.stop]
        return block.view(3, self.cells, self.length, -1).unbind(0)

    def scores(self, name: str, run: Pass) -> Tensor:
        return run.take(name, self.cells, self.length, self.length)


def _groups(groups: NDArray[np.int64], heads: int) -> Iterator[_Group]:
    start = first = 0
    for rows, length in groups.tolist():
        cells = rows * heads
        yield _Group(cells, length, slice(start, start := start + cells * length), first)
        first += cells * length * length


def array(tensor: Tensor) -> NDArray[Any]:
    """The tensor's own memory, as the loops read it."""
    tensor = tensor.detach()
    return (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()


def saved_bytes(hidden: int, inner: int, heads: int, dtype: torch.dtype) -> int:
    """Bytes that one layer keeps of each token until its backward."""
    vectors = 3 + 1 + 2 * 2  # query, key and value; what attention gives; before and after each norm's weight
    return (vectors * hidden + inner) * dtype.itemsize + 4 * (heads + 2)


def add_grad(parameter: Tensor, part: NDArray[Any], scale: float) -> None:
    """Add scale · part, (rows, columns), to a parameter's gradient."""
    if not parameter.requires_grad:
        return
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    total = parameter.grad.view(part.shape)
    loops.add_scaled(part, np.float32(scale), array(total))
