"""Nearfar's side: the step, what it costs in operations, and what the machine could do."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from peer import LEARNING_RATE, Pair

from measure import Sample, timed
from nearfar.core.targets import Targets
from nearfar.encoder.encode import open_store
from nearfar.encoder.load import load_encoder
from nearfar.encoder.precision import Policy
from nearfar.losses import info_nce
from nearfar.train.config import TrainConfig
from nearfar.train.optimizer import adamw
from nearfar.train.step import Batch, StepResult, partition, step

SHAPES = ((1024, 384, 1536), (4096, 384, 1536), (4096, 1536, 384), (2048, 2048, 2048))  # of the peak's products
PEAK_REPEATS = 20


class Nearfar:
    """An encoder in training mode and its optimiser."""

    def __init__(self, max_tokens: int, config: TrainConfig) -> None:
        self.encoder = load_encoder("minilm")
        self.encoder.model.max_seq_length = max_tokens
        self.optimizer = adamw([self.encoder.model], config, peak=LEARNING_RATE)
        self.seed = 0

    def training(self, policy: Policy) -> AbstractContextManager[None]:
        """The block in which `sample` may be called."""
        return self.encoder.training(policy)

    def sample(self, pairs: Sequence[Pair], policy: Policy) -> Sample:
        """Time one step on texts that no token store has seen."""
        self.seed += 1
        tokenise, batch = timed(lambda: self.batch(pairs, self.seed))
        seconds, result = timed(lambda: self.step(batch, policy))
        return {
            "seconds": tokenise + seconds,
            "tokenise_seconds": tokenise,
            "padded_ratio": result.padded_tokens / result.real_tokens,
            "kept_share": result.kept / result.micro_batches,
            "loss": float(result.loss),
        }

    def batch(self, pairs: Sequence[Pair], seed: int) -> Batch:
        """Tokenise the texts and make the batch in which document i answers query i."""
        store = open_store(self.encoder)
        limit = self.encoder.max_tokens
        sides = [[self.encoder.framed(store[r], limit) for r in store.rows([p[i] for p in pairs])] for i in (0, 1)]
        return Batch(sides[0], sides[1], Targets.diagonal(len(pairs)), seed)

    def step(self, batch: Batch, policy: Policy) -> StepResult:
        """Forward, loss, backward and optimiser step."""
        self.optimizer.zero_grad()
        result = step(self.encoder, batch, info_nce, policy)
        self.optimizer.step()
        return result


@dataclass(frozen=True)
class Cost:
    """Operations of a step: what the mathematics asks for, and what is computed a second time."""

    needed: float
    recomputed: float


def cost(nearfar: Nearfar, batch: Batch, policy: Policy, kept_share: float) -> Cost:
    """FLOPs of one step without padding: forward 2·N·T + 4·L·H·T² a text of T tokens, backward twice that."""
    micro_batches = [*partition("query", batch.queries, 0, policy.budget_tokens)]
    micro_batches += partition("document", batch.documents, 0, policy.budget_tokens)
    kept = round(kept_share * len(micro_batches))
    forward = [sum(_forward(nearfar, row) for row in part.rows) for part in micro_batches]
    return Cost(needed=3 * sum(forward), recomputed=sum(forward[kept:]))


def _forward(nearfar: Nearfar, row: NDArray[Any]) -> float:
    transformer = nearfar.encoder.model.transformers_model
    config, tokens = transformer.config, len(row)
    weights = sum(p.numel() for p in transformer.encoder.parameters())
    return 2 * weights * tokens + 4 * config.num_hidden_layers * config.hidden_size * tokens**2


def peak_flops(dtype: torch.dtype) -> float:
    """Highest measured speed of this machine's matrix products over a few shapes, FLOP/s."""
    return max(_speed(shape, dtype) for shape in SHAPES)


def _speed(shape: tuple[int, int, int], dtype: torch.dtype) -> float:
    rows, inner, columns = shape
    a, b = torch.ones(rows, inner, dtype=dtype), torch.ones(inner, columns, dtype=dtype)
    out = torch.empty(rows, columns, dtype=dtype)  # writing into the same pages, as a tuned program would
    fastest = min(timed(lambda: torch.mm(a, b, out=out))[0] for _ in range(PEAK_REPEATS))
    return 2 * rows * inner * columns / fastest
