"""What a run will take, said before it starts."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from nearfar.encoder.encoder import Encoder
from nearfar.encoder.precision import Policy
from nearfar.train.config import TrainConfig
from nearfar.train.data import TrainingData
from nearfar.train.loop import total_steps
from nearfar.train.objective import TrainObjective
from nearfar.train.step import activation_bytes, step

PROBE_PAIRS = 16
STATIC_PROBE_PAIRS = 512  # a token table is so fast that a small batch times the set-up alone
GIB = 2**30
KEEP_SHARE = 1 / 3  # of the free memory, for kept activations: the rest is for the user's other work


@dataclass(frozen=True)
class Estimate:
    """Expected cost of a run."""

    seconds: float
    memory_bytes: int  # weights, gradients, optimiser state and activations
    negatives: int  # in-batch negatives of a query, at most
    steps: int
    truncated_queries: float  # share of the training queries
    truncated_documents: float

    def line(self) -> str:
        """Say all of it in one line."""
        cut = f"{self.truncated_queries:.1%} of queries and {self.truncated_documents:.1%} of documents truncated"
        size = f"{self.memory_bytes / GIB:.1f} GiB"
        minutes = f"{self.seconds / 60:.1f} min"
        return f"about {minutes}, {size}, {self.negatives:,} in-batch negatives a query, {self.steps} steps; {cut}"


def estimate(encoder: Encoder, data: TrainingData, config: TrainConfig, policy: Policy, processes: int = 1) -> Estimate:
    """Time one small step, count memory of a process, and look at the text lengths; the model is left as it was."""
    seconds_a_token = _seconds_a_token(encoder, data, config, policy)
    tokens_a_pair = _tokens_a_pair(data)
    pairs = sum(part.drawn for part in data.sampler.parts)
    batch_tokens = config.batch_size * tokens_a_pair / processes
    weights = sum(p.numel() * p.element_size() for p in encoder.model.parameters())
    token_bytes = activation_bytes(encoder, policy, data.limits["document"])
    activations = min(policy.keep_bytes, batch_tokens * token_bytes) + policy.budget_tokens * token_bytes
    return Estimate(
        seconds=config.epochs * pairs * tokens_a_pair * seconds_a_token / processes,
        memory_bytes=int(4 * weights + activations),
        negatives=min(config.batch_size, len(np.unique(data.source.documents))) - 1,
        steps=total_steps(config, data),
        truncated_queries=data.truncated("query"),
        truncated_documents=data.truncated("document"),
    )


def with_kept_memory(policy: Policy, config: TrainConfig) -> Policy:
    """Set `keep_bytes` from the configuration, or to a third of the memory that is free now."""
    given = config.keep_gib
    return replace(policy, keep_bytes=int(free_bytes(policy.device) * KEEP_SHARE if given is None else given * GIB))


def free_bytes(device: str) -> int:
    """Free memory of the device; 0 where it cannot be read, so that nothing is kept."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:  # noqa: PTH123
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return 0


def _seconds_a_token(encoder: Encoder, data: TrainingData, config: TrainConfig, policy: Policy) -> float:
    size = STATIC_PROBE_PAIRS if encoder.is_static else PROBE_PAIRS
    pairs = np.random.default_rng(config.seed).permutation(len(data.source))[:size]
    batch = data.batch(pairs, config, 0, 0)
    objective = TrainObjective(config, unit=encoder.similarity == "cosine").to(policy.device)
    with encoder.training(policy):
        step(encoder, batch, objective, policy)  # the first call pays for set-up
        start = time.perf_counter()
        result = step(encoder, batch, objective, policy)
        seconds = time.perf_counter() - start
    encoder.model.zero_grad(set_to_none=True)
    return seconds / result.real_tokens


def _tokens_a_pair(data: TrainingData) -> float:
    lengths = data.store.full_lengths
    queries = np.minimum(lengths[data.rows["query"][data.source.queries]], data.limits["query"])
    documents = np.minimum(lengths[data.rows["document"][data.source.documents]], data.limits["document"])
    return float(queries.mean() + documents.mean()) + 2 * sum(map(len, data.encoder.framing))
