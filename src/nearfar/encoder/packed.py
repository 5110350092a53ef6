"""A BERT-like stack of layers for inference on a CPU, over the real tokens alone.

The rows of a micro-batch lie one after another without padding, so that products and normalisations see none. Query,
key and value are one product, and activations are computed inside theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.activations import GELUActivation
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions as Output

from nearfar.encoder.lora import is_linear, linear_of, whole_weight
from nearfar.encoder.ragged import Group, attend, grouped

ATTENTION = "nearfar"  # name of the training kernels' attention, whose masks are those of sdpa
STACKS = {"BertEncoder", "RobertaEncoder", "XLMRobertaEncoder", "CamembertEncoder", "ElectraEncoder"}
PLANNED_TOKENS = 1024  # in one product, for the layout of its weights; any number of them is right
ROUNDED = (16, 64)  # steps of the rows of few tokens, and of many


class PackedLayers(nn.Module):
    """The layers of a stack that `is_packable`, with their weights in one precision."""

    def __init__(self, stack: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.layers = [_Layer(layer, dtype) for layer in layers_of(stack)]
        self.dtype = dtype

    def forward(self, hidden: Tensor, attention_mask: Tensor | None = None, **_: object) -> Output:
        """Last hidden states (B, T, d) of (B, T, d), zero at padding; the mask is (B, 1, T, T), true at real tokens.

        The other arguments that transformers passes are of decoders, which are not packable.
        """
        real = (
            hidden.new_ones(hidden.shape[:2], dtype=torch.bool) if attention_mask is None else attention_mask[:, 0, 0]
        )
        groups = list(grouped(real.sum(1).tolist()))
        tokens = hidden[real]
        flat = tokens.new_zeros(rounded(len(tokens)), tokens.shape[1], dtype=self.dtype)
        flat[: len(tokens)] = tokens
        with torch.autocast("cpu", enabled=False):
            for layer in self.layers:
                flat = layer(flat, groups)
        padded = flat.new_zeros(hidden.shape)
        padded[real] = flat[: len(tokens)]
        return Output(last_hidden_state=padded)


def is_packable(stack: nn.Module) -> bool:
    """Whether this is a stack of bidirectional layers with plain products and GELU, as BERT's are."""
    if type(stack).__name__ not in STACKS:
        return False
    config: Any = stack.config
    plain = config._attn_implementation in {"sdpa", ATTENTION} and not (
        config.is_decoder or config.add_cross_attention or config.output_hidden_states
    )
    return plain and all(
        type(layer.intermediate.intermediate_act_fn) is GELUActivation and all(map(is_linear, products_of(layer)))
        for layer in layers_of(stack)
    )


class _Layer:
    def __init__(self, layer: Any, dtype: torch.dtype) -> None:
        *projections, attended, inner, outer = products_of(layer)
        self.heads, scale = layer.attention.self.num_attention_heads, layer.attention.self.scaling
        scales = (scale, 1, 1)  # the scores' scale, taken into the query
        weight = torch.cat([whole_weight(part) * by for part, by in zip(projections, scales, strict=True)])
        bias = torch.cat([linear_of(part).bias * by for part, by in zip(projections, scales, strict=True)])
        self.projection = _Product(weight, bias, dtype)
        self.attended = _Product(whole_weight(attended), linear_of(attended).bias, dtype)
        self.inner = _Product(whole_weight(inner), linear_of(inner).bias, dtype, gelu=True)
        self.outer = _Product(whole_weight(outer), linear_of(outer).bias, dtype)
        self.norms: tuple[nn.LayerNorm, nn.LayerNorm] = (layer.attention.output.LayerNorm, layer.output.LayerNorm)

    def __call__(self, hidden: Tensor, groups: Sequence[Group]) -> Tensor:
        attended = attend(self.projection(hidden), groups, self.heads)
        hidden = _normalised(self.attended(attended).add_(hidden), self.norms[0])
        return _normalised(self.outer(self.inner(hidden)).add_(hidden), self.norms[1])


class _Product:
    """x Wᵀ + b, then GELU if asked, with the weights laid out as oneDNN reads them where torch is built with it."""

    def __init__(self, weight: Tensor, bias: Tensor, dtype: torch.dtype, *, gelu: bool = False) -> None:
        self.weight, self.bias, self.gelu = weight.to(dtype), bias.to(dtype), gelu
        self.reordered = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        if self.reordered:
            self.weight = torch.ops.mkldnn._reorder_linear_weight(self.weight, PLANNED_TOKENS)

    def __call__(self, inputs: Tensor) -> Tensor:
        if self.reordered:
            name, form = ("gelu", "none") if self.gelu else ("none", "")
            fused: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, self.weight, self.bias, name, [], form)
            return fused
        product = functional.linear(inputs, self.weight, self.bias)
        return functional.gelu(product) if self.gelu else product


def _normalised(hidden: Tensor, norm: nn.LayerNorm) -> Tensor:
    return functional.layer_norm(hidden, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def rounded(tokens: int) -> int:
    """Rows of the products of so many tokens: few different numbers, because each is a product of its own to oneDNN,
    which makes its kernel when it first comes; 6 % more at most from 256 tokens on.
    """
    step = ROUNDED[0] if tokens < ROUNDED[1] * ROUNDED[0] else ROUNDED[1]
    return -(-tokens // step) * step


def layers_of(stack: nn.Module) -> list[Any]:
    return list(stack.layer)  # type: ignore[arg-type]


def products_of(layer: Any) -> list[Any]:
    attention = layer.attention
    projections = [attention.self.query, attention.self.key, attention.self.value]
    return [*projections, attention.output.dense, layer.intermediate.dense, layer.output.dense]
