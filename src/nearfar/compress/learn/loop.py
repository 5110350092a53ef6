"""Codebooks learnt for retrieval: scores of codes follow the scores of the vectors they stand for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nearfar.compress.codec import Sample

STEPS = 200
WARM_UP = 20  # steps
QUERIES = 256  # of a step
NEIGHBOURS = 100  # documents nearest to a query, out of which
DRAWN = 8  # are drawn in each step
MOST_QUERIES = 8192  # whose neighbours are looked for
TEMPERATURE = 0.05  # of both distributions of scores
BETAS = (0.9, 0.98)


class Trainable(Protocol):
    """A codec in torch, whose arrays learn."""

    def groups(self) -> list[tuple[Tensor, float]]:
        """The tensors that learn, and their learning rates."""

    def quantised(self, documents: Tensor) -> tuple[Tensor, Tensor]:
        """What the codes of documents (n, d) stand for, (n, d'), with a gradient; and the mean squared error."""

    def mapped(self, queries: Tensor) -> Tensor:
        """Queries (Q, d) as the codes are asked, (Q, d')."""


@dataclass(frozen=True)
class Objective:
    """KL(P ‖ S) + reconstruction · E‖y − ŷ‖² + contrast · InfoNCE(ŷ), over queries and documents near them.

    P is the softmax over documents of the scores of full precision, S that of the scores of the codes.
    """

    reconstruction: float = 10.0
    contrast: float = 0.0  # of labelled queries


def learn(codec: Trainable, sample: Sample, objective: Objective) -> None:
    """Train a codec in place, on the sample's queries; on its documents as queries where it has none.

    Distillation of the scores of full precision needs no labels (LibVQ, Li et al., 2022). Negatives are documents
    nearest to the queries of the batch, as JPQ (Zhan et al., 2021) has them.
    """
    generator = torch.Generator().manual_seed(sample.seed)
    documents, queries = torch.from_numpy(sample.vectors), torch.from_numpy(sample.queries)
    positives = _first_positive(sample)
    if not len(queries):
        queries, positives = documents, None
    asked = torch.randperm(len(queries), generator=generator)[:MOST_QUERIES]
    near = _neighbours(queries[asked], documents)
    optimizer = torch.optim.Adam([{"params": [tensor], "lr": rate} for tensor, rate in codec.groups()], betas=BETAS)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _rate)
    for _ in range(STEPS):
        some = torch.randperm(len(asked), generator=generator)[:QUERIES]
        drawn = torch.randint(near.shape[1], (len(some), DRAWN), generator=generator)
        wanted = near[some, 0] if positives is None else positives[asked[some]]
        rows, places = torch.cat([wanted, near[some].gather(1, drawn).flatten()]).unique(return_inverse=True)
        loss = _loss(codec, queries[asked[some]], documents[rows], places[: len(some)], objective)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def _loss(codec: Trainable, queries: Tensor, documents: Tensor, positives: Tensor, objective: Objective) -> Tensor:
    teacher = (queries @ documents.T / TEMPERATURE).log_softmax(dim=1)  # (Q, D)
    standing, error = codec.quantised(documents)
    student = (codec.mapped(queries) @ standing.T / TEMPERATURE).log_softmax(dim=1)
    loss = functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
    loss = loss + objective.reconstruction * error
    return loss + objective.contrast * functional.nll_loss(student, positives) if objective.contrast else loss


def _rate(step: int) -> float:
    return min(1.0, (step + 1) / WARM_UP) * (1 + math.cos(math.pi * step / STEPS)) / 2


def _neighbours(queries: Tensor, documents: Tensor) -> Tensor:
    """The nearest documents of each query, best first, (Q, NEIGHBOURS)."""
    most = min(NEIGHBOURS, len(documents))
    return torch.cat([(block @ documents.T).topk(most).indices for block in queries.split(QUERIES)])


def _first_positive(sample: Sample) -> Tensor | None:
    """A relevant document of each query, (Q,); None unless each has one."""
    positives = sample.positives
    if positives is None or not len(positives) or np.diff(positives.offsets).min() == 0:
        return None
    return torch.from_numpy(positives.values[positives.offsets[:-1]].astype(np.int64))
