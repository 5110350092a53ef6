"""What of an encoder is trained: all of it, that of queries, layers above the frozen ones, or low-rank adapters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from sentence_transformers.sentence_transformer.modules import Router
from torch import nn

from nearfar.core.errors import BadInput
from nearfar.encoder.encoder import Encoder, Role
from nearfar.encoder.freezing import freeze, layers_in, rest, wake
from nearfar.encoder.lora import adapter_writer, insert, merge
from nearfar.encoder.precision import Policy
from nearfar.train.config import TrainConfig

CALIBRATION_TEXTS = 64  # that CorDA sees; of the training pairs, each embedded alone


@dataclass(frozen=True)
class Adaptation:
    """An encoder made ready for training, and how to make it whole again."""

    encoder: Encoder
    trained_before: Sequence[tuple[nn.Parameter, bool]]

    def release(self) -> None:
        """Merge adapters into the weights, and let be trained what was before."""
        for transformer in self.encoder.transformers:
            merge(transformer)
        if isinstance(router := self.encoder.model[0], Router):
            wake(router)
        for parameter, trained in self.trained_before:
            parameter.requires_grad = trained

    def writer(self, base: str) -> Callable[[Path], None]:
        """What writes the adapter as it is now, without the base."""
        return adapter_writer(self.encoder.transformers[0], base)

    def line(self) -> str:
        """How much of the encoder is trained; "" when it is all."""
        sizes = [(parameter.numel(), parameter.requires_grad) for parameter in self.encoder.model.parameters()]
        total, trained = sum(size for size, _ in sizes), sum(size for size, on in sizes if on)
        share = f"{trained / total:.2%} of the weights: {trained:,} of {total:,}"
        return f"training {share}" if trained < total else ""


def adapted(encoder: Encoder, config: TrainConfig, texts: Sequence[str], policy: Policy) -> Adaptation:
    """Freeze layers and put in adapters as the configuration says; `texts` are of the training pairs, for CorDA.

    Raises:
        BadInput: the encoder has no such layers or modules.
        MissingExtra: peft is not installed.
    """
    before = [(parameter, parameter.requires_grad) for parameter in encoder.model.parameters()]
    router = encoder.model[0]
    if config.sides == "query" and not isinstance(router, Router):
        raise BadInput.at("train.sides", expected="both, where one encoder is for queries and documents", found="query",
                          do="set encoder.sharing to separate, or leave it out")  # fmt: skip
    if config.freeze or config.lora.rank:
        _adapt(encoder, config, texts, policy)
    if config.sides == "query":
        rest(cast(Router, router), "document")
    return Adaptation(encoder, before)


def _adapt(encoder: Encoder, config: TrainConfig, texts: Sequence[str], policy: Policy) -> None:
    if encoder.is_static:
        name = "train.freeze" if config.freeze else "train.lora.rank"
        raise BadInput.at(name, expected="0 for a static encoder", found=str(config.freeze or config.lora.rank),
                          do="leave it out, or choose a transformer")  # fmt: skip
    layers = min(len(layers_in(transformer)) for transformer in encoder.transformers)
    if config.freeze >= layers:
        raise BadInput.at("train.freeze", expected=f"fewer than the model's {layers} layers",
                          found=str(config.freeze), do="lower it")  # fmt: skip
    if config.lora.rank and config.lora.keep and not encoder.is_shared:
        raise BadInput.at("train.lora.keep", expected="one transformer", do="leave it out",
                          found="one for queries and one for documents")  # fmt: skip
    exact = replace(policy, precision="fp32")
    roles: tuple[Role, ...] = ("document",) if encoder.is_shared else ("query", "document")
    for role, transformer in zip(roles, encoder.transformers, strict=True):
        if config.lora.rank:
            calibrate = partial(_calibrate, encoder, role, texts, config, exact)
            insert(transformer, config.lora, config.freeze, calibrate, config.seed)
        if config.freeze:
            freeze(transformer, config.freeze)


@torch.no_grad()
def _calibrate(encoder: Encoder, role: Role, texts: Sequence[str], config: TrainConfig, policy: Policy) -> None:
    """Embed some of the texts, each alone, so that nothing is padding."""
    chosen = np.random.default_rng(config.seed).permutation(len(texts))[:CALIBRATION_TEXTS]
    tokenizer = encoder.tokenizer
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for encoded in tokenizer.encode_batch_fast([texts[i] for i in chosen], add_special_tokens=False):
        row = encoder.framed(np.array(encoded.ids, np.int32), min(config.max_document_tokens, encoder.max_tokens))
        encoder.embed([row], role, policy)
