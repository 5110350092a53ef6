"""Sentence-transformers' side: its cached loss, in the settings a user could choose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss
from torch import Tensor

from measure import Sample, timed
from nearfar.encoder.load import load_encoder
from nearfar.train.config import TrainConfig
from nearfar.train.optimizer import adamw

Pair = tuple[str, str]
SCALE = 20.0  # 1 / temperature
LEARNING_RATE = 5e-5


@dataclass(frozen=True)
class Setting:
    """How its cached loss is used; the defaults are its own."""

    mini_batch_size: int = 32
    mini_batch_num_tokens: int | None = None  # its own token packing: rows in order, up to so many real tokens
    bf16: bool = False  # autocast around the model's forward
    by_length: bool = False  # pairs of a batch sorted by their documents' lengths

    @property
    def name(self) -> str:
        """The setting in a few words."""
        size = f"{self.mini_batch_num_tokens} tokens" if self.mini_batch_num_tokens else f"{self.mini_batch_size} rows"
        return f"peer {'bf16' if self.bf16 else 'fp32'}, {size}, {'sorted' if self.by_length else 'in order'}"

    def facts(self) -> dict[str, Any]:
        """The setting as JSON."""
        return asdict(self)


DEFAULTS = Setting()
SWEEP = (
    *(Setting(size, bf16=True, by_length=by_length) for by_length in (False, True) for size in (4, 8, 16, 32, 64)),
    *(Setting(mini_batch_num_tokens=tokens, bf16=True, by_length=True) for tokens in (256, 512, 1024, 2048)),
    Setting(mini_batch_num_tokens=512, bf16=True),
    Setting(8, by_length=True),
)
BEST = (  # the fastest of the committed sweep, for --quick
    Setting(8, bf16=True, by_length=True),
    Setting(mini_batch_num_tokens=1024, bf16=True, by_length=True),
)


class Peer:
    """A SentenceTransformer in training mode, the optimiser and what its trainer does with a batch."""

    def __init__(self, max_tokens: int, optimizer_config: TrainConfig) -> None:
        self.model: SentenceTransformer = load_encoder("minilm").model
        self.model.max_seq_length = max_tokens
        self.model.train()
        self.optimizer = adamw([self.model], optimizer_config, peak=LEARNING_RATE)

    def sample(self, pairs: Sequence[Pair], setting: Setting) -> Sample:
        """Time one step; padded and real tokens are counted at the model's door."""
        loss = self.loss(setting)
        counts = {"padded": 0, "real": 0}
        handle = self.model.register_forward_pre_hook(lambda _, inputs: _count(counts, inputs[0]))
        with self.precision(setting):
            tokenise, features = timed(lambda: self.collate(pairs, setting))
            seconds, value = timed(lambda: self.step(features, loss))
        handle.remove()
        return {
            "seconds": tokenise + seconds,
            "tokenise_seconds": tokenise,
            "padded_ratio": counts["padded"] / counts["real"],
            "loss": value,
        }

    def step(self, features: list[dict[str, Tensor]], loss: CachedMultipleNegativesRankingLoss) -> float:
        """Forward, loss, backward and optimiser step."""
        self.backward(features, loss)
        self.optimizer.step()
        return float(self.last_loss)

    def backward(self, features: list[dict[str, Tensor]], loss: CachedMultipleNegativesRankingLoss) -> None:
        """Gradients of one batch."""
        self.optimizer.zero_grad()
        value = loss(features, None)
        value.backward()
        self.last_loss = value.item()

    def collate(self, pairs: Sequence[Pair], setting: Setting) -> list[dict[str, Tensor]]:
        """Tokenise both columns as its data collator does, and sort the pairs where the setting says so."""
        columns = [self.model.preprocess([pair[i] for pair in pairs]) for i in (0, 1)]
        if not setting.by_length:
            return columns
        order = columns[1]["attention_mask"].sum(dim=1).argsort(descending=True, stable=True)
        return [{k: v[order] if isinstance(v, Tensor) else v for k, v in column.items()} for column in columns]

    def loss(self, setting: Setting) -> CachedMultipleNegativesRankingLoss:
        """Its cached loss in this setting."""
        return CachedMultipleNegativesRankingLoss(
            self.model,
            scale=SCALE,
            mini_batch_size=setting.mini_batch_size,
            mini_batch_num_tokens=setting.mini_batch_num_tokens,
        )

    @contextmanager
    def precision(self, setting: Setting) -> Iterator[None]:
        """Put the model's forward under autocast: an outer context has ended when the loss embeds again in backward."""
        if not setting.bf16:
            yield
            return
        plain = self.model.forward

        def forward(features: dict[str, Any], **options: Any) -> dict[str, Any]:
            with torch.autocast("cpu", torch.bfloat16):
                output = plain(features, **options)
            return {**output, "sentence_embedding": output["sentence_embedding"].float()}  # as its trainer does

        self.model.forward = forward
        try:
            yield
        finally:
            del self.model.forward


def _count(counts: dict[str, int], features: dict[str, Tensor]) -> None:
    counts["padded"] += features["input_ids"].numel()
    counts["real"] += int(features["attention_mask"].sum())
