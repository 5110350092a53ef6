"""CPU kernels for the training forward and backward: dropout, attention with dropout, embedding gradients.

On a CPU, torch draws one Bernoulli number an element, its fused attention has no dropout, and the gradient of an
embedding table is dense in every micro-batch. Together these cost more than the matrix products of a small encoder
(benchmarks/training). The functions here compute the same quantities: dropout from one random byte an element,
attention by matrix products with that dropout inside, embedding gradients added where rows are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from nearfar.encoder.dropout import LEVELS, ByteDropout, dropped, survivors
from nearfar.encoder.fused import FusedLayers, is_fusable
from nearfar.encoder.packed import ATTENTION, PackedLayers, is_packable
from nearfar.encoder.ragged import LONGEST, MASKED


class NarrowNorm(nn.Module):
    """Layer normalisation computed in fp32 whose result has the dtype of autocast, for inference.

    Under autocast torch returns fp32, which each of the products that read it casts again.
    """

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, inputs: Tensor) -> Tensor:
        kind = inputs.device.type
        with torch.autocast(kind, enabled=False):
            normed: Tensor = self.norm(inputs)
        return normed.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else normed


class _Attention(torch.autograd.Function):
    """softmax(q kᵀ · scale + mask), dropout, · v; the probabilities are kept for the backward."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float, rate: float) -> Tensor:
        q = q * scale
        scores = q @ k.transpose(-1, -2)  # (B, heads, T, T)
        if mask is not None:
            scores += mask
        probabilities = torch.softmax(scores, dim=-1)
        keep = survivors(probabilities.shape, rate) if dropped(rate) else None
        ctx.survival = 1 - dropped(rate) / LEVELS
        ctx.scale = scale
        ctx.save_for_backward(q, k, v, probabilities, keep)
        used = probabilities if keep is None else probabilities * keep
        attended: Tensor = used @ (v / ctx.survival)
        return attended

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, probabilities, keep = ctx.saved_tensors
        grad = grad / ctx.survival
        used = probabilities if keep is None else probabilities * keep
        grad_v = used.transpose(-1, -2) @ grad
        grad_p = grad @ v.transpose(-1, -2)
        if keep is not None:
            grad_p *= keep
        grad_s = torch._softmax_backward_data(grad_p, probabilities, -1, probabilities.dtype)
        return (grad_s @ k).mul_(ctx.scale), grad_s.transpose(-1, -2) @ q, grad_v, None, None, None


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """The same attention without a backward, in the memory of one (B, heads, T, T) tensor."""
    scores = (q * scale) @ k.transpose(-1, -2)
    if mask is not None:
        scores += mask
    return torch.softmax(scores, dim=-1, out=scores) @ v


def attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """Attention of transformers' interface: ours for bidirectional models on a CPU, torch's everywhere else.

    The options are transformers' own (dropout, scaling, is_causal, …) and pass through unread where torch's is used.
    """
    causal = options.get("is_causal")
    causal = getattr(module, "is_causal", False) if causal is None else causal
    grouped = key.shape[1] != query.shape[1]
    biased = options.get("position_bias") is not None or options.get("softcap") is not None
    long = query.shape[2] > LONGEST
    if long or causal or grouped or biased or query.device.type != "cpu":
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    scale = options.get("scaling") or query.shape[-1] ** -0.5
    mask = None if attention_mask is None else _additive(attention_mask, query.dtype)
    if torch.is_inference_mode_enabled():
        attended = _attend(query, key, value, mask, scale)
    else:
        attended = _Attention.apply(query, key, value, mask, scale, options.get("dropout", 0.0))  # type: ignore[no-untyped-call]
    return attended.transpose(1, 2).contiguous(), None


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    if mask.dtype != torch.bool:
        return mask.to(dtype)
    return torch.zeros(mask.shape, dtype=dtype).masked_fill_(~mask, MASKED)


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ids: Tensor, table: Tensor, padding: int | None) -> Tensor:
        ctx.ids, ctx.table, ctx.padding = ids.flatten(), table, padding
        return table.detach()[ids]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, None, None]:
        table, rows = ctx.table, grad.reshape(-1, grad.shape[-1]).to(ctx.table.dtype)
        if table.grad is None:
            table.grad = torch.zeros_like(table)
        if ctx.padding is not None:
            rows = rows.masked_fill((ctx.ids == ctx.padding)[:, None], 0)
        table.grad.index_add_(0, ctx.ids, rows)
        return None, None, None


class SparseLookup(nn.Module):
    """An embedding whose backward adds to the table's `.grad` row by row, without a dense gradient a micro-batch."""

    def __init__(self, table: nn.Embedding) -> None:
        super().__init__()
        self.weight = table.weight
        self.padding_idx = table.padding_idx

    def forward(self, ids: Tensor) -> Tensor:
        return _Lookup.apply(ids, self.weight, self.padding_idx)  # type: ignore[no-untyped-call, no-any-return]


@contextmanager
def training_kernels(model: PreTrainedModel) -> Iterator[None]:
    """Train `model` with the kernels of this file inside the block; it is as it was afterwards.

    Models on other devices are left alone, and so is attention that does not use transformers' interface.
    """
    with _swapped(model, _for_training), _attention_kernel(model):
        yield


@contextmanager
def inference_kernels(model: PreTrainedModel) -> Iterator[None]:
    """Run `model` without a backward with the kernels of this file inside the block; it is as it was afterwards.

    They have the precision of the autocast around the block, if there is one.
    """
    with _swapped(model, _for_inference), _attention_kernel(model):
        yield


@contextmanager
def _attention_kernel(model: PreTrainedModel) -> Iterator[None]:
    """Attention of this file where the model would use torch's on a CPU."""
    implementation = model.config._attn_implementation
    if model.device.type != "cpu" or implementation != "sdpa":
        yield
        return
    AttentionInterface.register(ATTENTION, attention)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
    model.set_attn_implementation(ATTENTION)
    try:
        yield
    finally:
        model.set_attn_implementation(implementation)


@contextmanager
def _swapped(model: PreTrainedModel, replacement: Callable[[nn.Module], nn.Module | None]) -> Iterator[None]:
    """Have modules replaced inside the block, on a CPU."""
    swapped = list(_swap(model, replacement)) if model.device.type == "cpu" else []
    try:
        yield
    finally:
        for parent, name, module in swapped:
            setattr(parent, name, module)


def _swap(
    model: nn.Module, replacement: Callable[[nn.Module], nn.Module | None]
) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            replaced = replacement(child)
            if replaced is not None:
                replaced.train(child.training)
                setattr(parent, name, replaced)
                yield parent, name, child


def _for_training(module: nn.Module) -> nn.Module | None:
    if is_fusable(module):
        return FusedLayers(module)
    if type(module) is nn.Dropout:
        return ByteDropout(module.p)
    return SparseLookup(module) if isinstance(module, nn.Embedding) and _is_plain(module) else None


def _for_inference(module: nn.Module) -> nn.Module | None:
    module = module.stack if isinstance(module, FusedLayers) else module
    if is_packable(module):
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else next(module.parameters()).dtype
        return PackedLayers(module, dtype)
    return NarrowNorm(module) if type(module) is nn.LayerNorm else None


def _is_plain(table: nn.Embedding) -> bool:
    options = table.max_norm is not None or table.scale_grad_by_freq or table.sparse
    whole = type(table.weight) is nn.Parameter  # not spread over processes
    return type(table) is nn.Embedding and whole and table.weight.requires_grad and not options
