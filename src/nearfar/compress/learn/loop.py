"""Codebooks learnt for retrieval: scores of codes follow the scores of the vectors they stand for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nearfar.compress.codec import Sample, Vectors
from nearfar.compress.mapped import Mapped

STEPS = 200
ROUND = 25  # steps between which codes stay as they are: finding them costs more than a step
WARM_UP = 20  # steps
QUERIES = 256  # of a step
NEIGHBOURS = 100  # documents nearest to a query, out of which
DRAWN = 8  # are drawn in each step
MOST_QUERIES = 8192  # whose neighbours are looked for
TEMPERATURE = 0.05  # of both distributions of scores
BETAS = (0.9, 0.98)


class Trainable(Protocol):
    """A codec in torch, whose arrays learn."""

    @property
    def query_map(self) -> nn.Parameter:
        """W (d', d): a code ŷ stands for Wᵀŷ."""

    @property
    def rotation(self) -> nn.Parameter | None:
        """R (d', d) of documents before their codes; None: they stay as they are."""

    def groups(self) -> list[tuple[nn.Parameter, float]]:
        """The tensors that learn, and their learning rates."""

    def codes(self, documents: Tensor) -> Tensor:
        """Codes (n, M) of documents (n, d), as its codebooks are now."""

    def quantised(self, documents: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """What these codes of documents stand for, (n, d'), with a gradient; and the squared error of each, (n,)."""

    def mapped(self, queries: Tensor) -> Tensor:
        """Queries (Q, d) as the codes are asked, (Q, d')."""

    def codec(self) -> Mapped:
        """The codec as it is by now."""


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
    nearest to the queries of the batch, and codes stay as they are for some steps, as in JPQ (Zhan et al., 2021).
    """
    generator = torch.Generator().manual_seed(sample.seed)
    batches = _batches(sample, generator)
    documents = torch.tensor(sample.vectors)
    optimizer = torch.optim.Adam([{"params": [tensor], "lr": rate} for tensor, rate in codec.groups()], betas=BETAS)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _rate)
    for _ in range(STEPS // ROUND):
        several = [next(batches) for _ in range(ROUND)]
        rows = torch.cat([batch.documents for batch in several]).unique()  # ascending
        codes = codec.codes(documents[rows])
        for batch in several:
            part = torch.searchsorted(rows, batch.documents)
            loss = _loss(codec, batch, documents[batch.documents], codes[part], objective)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


@dataclass(frozen=True)
class Batch:
    """Queries, and documents near to some of them."""

    queries: Tensor  # (Q, d)
    documents: Tensor  # (D,) rows, none twice
    positives: Tensor  # (Q,) places among these documents: a relevant one, or the nearest where none is known


def _batches(sample: Sample, generator: torch.Generator) -> Iterator[Batch]:
    """Batches without end."""
    documents, queries, positives = torch.tensor(sample.vectors), torch.tensor(sample.queries), _first_positive(sample)
    if not len(queries):
        queries, positives = documents, None
    asked = torch.randperm(len(queries), generator=generator)[:MOST_QUERIES]
    near = _neighbours(queries[asked], documents)
    while True:
        some = torch.randperm(len(asked), generator=generator)[:QUERIES]
        drawn = torch.randint(near.shape[1], (len(some), DRAWN), generator=generator)
        wanted = near[some, 0] if positives is None else positives[asked[some]]
        rows, places = torch.cat([wanted, near[some].gather(1, drawn).flatten()]).unique(return_inverse=True)
        yield Batch(queries[asked[some]], rows, places[: len(some)])


def _loss(codec: Trainable, batch: Batch, documents: Tensor, codes: Tensor, objective: Objective) -> Tensor:
    teacher = (batch.queries @ documents.T / TEMPERATURE).log_softmax(dim=1)  # (Q, D)
    standing, error = codec.quantised(documents, codes)
    student = (codec.mapped(batch.queries) @ standing.T / TEMPERATURE).log_softmax(dim=1)
    loss = functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
    loss = loss + objective.reconstruction * error.mean()
    return loss + objective.contrast * functional.nll_loss(student, batch.positives) if objective.contrast else loss


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


def array(tensor: Tensor) -> Vectors:
    """A copy of the tensor's numbers."""
    copied: Vectors = tensor.detach().cpu().numpy().copy()
    return copied
