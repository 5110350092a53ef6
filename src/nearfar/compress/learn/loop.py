"""Codebooks learnt for retrieval: scores of codes follow the scores of the vectors they stand for."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from nearfar.compress.codec import Sample
from nearfar.compress.learn.batches import Batch, Batches, neighbours
from nearfar.compress.learn.trainable import Books, Trainable

Number = TypeVar("Number", int, float)

STEPS = 200
RECONSTRUCTION = 10.0
MINED = 100  # steps between which the documents that codes rank first stay those
ROUND = 25  # steps between which codes stay as they are: finding them costs more than a step
WARM_UP = 20  # steps
BETAS = (0.9, 0.98)


def learn(
    codec: Trainable,
    sample: Sample,
    *,
    steps: int = STEPS,
    reconstruction: float = RECONSTRUCTION,
    contrast: float = 0.0,
) -> None:
    """Train a codec in place, on the sample's queries; on its documents as queries where it has none.

    Distillation of the scores of full precision needs no labels (LibVQ, Li et al., 2022). Negatives are documents
    nearest to the queries of the batch, and codes stay as they are for some steps, as in JPQ (Zhan et al., 2021).

    Args:
        steps, reconstruction, contrast: where the sample's settings leave them empty.
    """
    learning = sample.learning
    steps = _stated(learning.steps, steps)
    whole = Objective(1.0, _stated(learning.reconstruction, reconstruction), _stated(learning.contrast, contrast),
                      learning.temperature)  # fmt: skip
    if not steps or (sample.vectors == sample.vectors[0]).all():  # Adam would follow errors of rounding
        return
    generator = torch.Generator().manual_seed(sample.seed)
    full, documents = Batches.of(sample, generator), torch.tensor(sample.vectors)
    optimizer = torch.optim.Adam([{"params": [tensor], "lr": rate} for tensor, rate in codec.groups()], betas=BETAS)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    batches = full
    for start in range(0, steps, ROUND):
        if learning.mined and start % MINED == 0:
            batches = full.joined(_ranked_first(codec, documents, full.queries))
        several = [batches.draw() for _ in range(min(ROUND, steps - start))]
        rows = torch.cat([batch.documents for batch in several]).unique()  # ascending
        codes = codec.codes(documents[rows])
        for step, batch in enumerate(several, start):
            part = codes[torch.searchsorted(rows, batch.documents)]
            loss = _loss(
                codec, batch, documents[batch.documents], part, _of_step(whole, step) if learning.alternate else whole
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            if learning.revive and isinstance(codec, Books):
                codec.centroids.count(codec.names(part))
        if isinstance(codec, Books):
            _look_after(codec, documents[rows], codes, sample, start + len(several), generator)


def _look_after(
    codec: Books, documents: Tensor, codes: Tensor, sample: Sample, step: int, generator: torch.Generator
) -> None:
    """After a round: tell who watches of its documents and their codes, and move centroids that nobody uses."""
    if sample.watch:
        with torch.no_grad():
            _, errors = codec.quantised(documents, codes)
        sample.watch(step, codec.names(codes).numpy(), float(errors.mean()))
    if sample.learning.revive:
        codec.revive(documents, codes, generator)


def _ranked_first(codec: Trainable, documents: Tensor, queries: Tensor) -> Tensor:
    """The documents that codes rank first for each query, (Q, NEIGHBOURS)."""
    with torch.no_grad():
        standing, _ = codec.quantised(documents, codec.codes(documents))
        return neighbours(codec.mapped(queries), standing)


@dataclass(frozen=True)
class Objective:
    """scores · KL(P ‖ S) + reconstruction · E‖y − ŷ‖² + contrast · InfoNCE(ŷ), over queries and documents near them.

    P is the softmax over documents of the scores of full precision, S that of the scores of the codes.
    """

    scores: float
    reconstruction: float
    contrast: float  # of labelled queries
    temperature: float  # of both


def _of_step(whole: Objective, step: int) -> Objective:
    """The error alone in even steps, the scores alone in odd ones (Huh et al., 2023)."""
    return replace(whole, reconstruction=0.0) if step % 2 else replace(whole, scores=0.0, contrast=0.0)


def _stated(value: Number | None, otherwise: Number) -> Number:
    return otherwise if value is None else value


def _loss(codec: Trainable, batch: Batch, documents: Tensor, codes: Tensor, objective: Objective) -> Tensor:
    teacher = (batch.queries @ documents.T / objective.temperature).log_softmax(dim=1)  # (Q, D)
    standing, error = codec.quantised(documents, codes)
    student = (codec.mapped(batch.queries) @ standing.T / objective.temperature).log_softmax(dim=1)
    loss = objective.scores * functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
    loss = loss + objective.reconstruction * error.mean()
    return loss + objective.contrast * functional.nll_loss(student, batch.positives) if objective.contrast else loss


def _rate(step: int, steps: int) -> float:
    return min(1.0, (step + 1) / WARM_UP) * (1 + math.cos(math.pi * step / steps)) / 2
