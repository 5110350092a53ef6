"""Distributions over codes that tell most about labels."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from nearfar.compress.codec import Sample
from nearfar.compress.infomax import Infomax
from nearfar.compress.labels import labelled
from nearfar.compress.learn.scale import nearest_scale
from nearfar.compress.product import product_of, spread

STEPS = 100
WARM_UP = 20  # steps
RATE = 0.1
BETAS = (0.9, 0.98)
LABELS = 512  # queries of a step, each with one of its documents
ALONE = 1024  # documents of a step that are labels of their own, since few documents have a query
INDEPENDENCE = 1.0  # λ
SHARPNESS = 20.0  # length of the logits' directions at the start
TINY = 1e-12


def fit(sample: Sample, size_bytes: int) -> Infomax:
    """Maximise Σ_m I(c_m; label) − λ Σ_m KL(p(c_m, c_m') ‖ p(c_m) p(c_m')), with pairs (m, m') drawn in each step.

    A label's distribution is the mean of its query's and its document's (Lee et al., 2022). Documents that are
    drawn from all are labels of their own, which kept more on dev.
    """
    generator = torch.Generator().manual_seed(sample.seed)
    logits = _start(sample, size_bytes).requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=RATE, betas=BETAS)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _rate)
    for pairs, alone in _batches(labelled(sample), generator):
        shift = int(torch.randint(size_bytes - 1, (1,), generator=generator)) + 1 if size_bytes > 1 else 0
        loss = loss_of(_of_labels(logits, pairs, alone), shift, INDEPENDENCE)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return _codec(logits.detach(), torch.tensor(sample.vectors))


def loss_of(labels: Tensor, shift: int, independence: float = 1.0) -> Tensor:
    """Σ_m H(code_m | label) − H(code_m) + λ Σ_m KL(p(code_m, code_m') ‖ p(code_m) p(code_m')), m' = m + shift.

    Args:
        labels: p(code_m | label), (M, L, K), of labels that are equally frequent.
        shift: 0 leaves the second part out.
    """
    marginal = labels.mean(dim=1)  # (M, K)
    loss = (entropy(labels).mean(dim=1) - entropy(marginal)).sum()
    if not shift:
        return loss
    joint = labels.mT @ labels.roll(-shift, 0) / labels.shape[1]  # (M, K, K)
    product = marginal[:, :, None] * marginal.roll(-shift, 0)[:, None]
    return loss + independence * (joint * ((joint + TINY).log() - (product + TINY).log())).sum()


def entropy(probabilities: Tensor) -> Tensor:
    """−Σ_k p_k log p_k of distributions (…, K), in nats."""
    return -(probabilities * probabilities.clamp(min=TINY).log()).sum(dim=-1)


def _of_labels(logits: Tensor, pairs: Tensor, alone: Tensor) -> Tensor:
    """Distributions of labels (M, L, K): pairs (2, ·, d) of a query and its document, and documents alone (·, d)."""
    of_pairs, of_alone = (
        torch.einsum("...nd,mkd->...mnk", vectors, logits).softmax(dim=-1) for vectors in (pairs, alone)
    )
    return torch.cat([of_pairs.mean(dim=0), of_alone], dim=1)


def _batches(sample: Sample, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Queries each with one of its documents, (2, L, d), and documents alone (·, d); STEPS times."""
    if sample.positives is None:
        return
    documents, queries = torch.tensor(sample.vectors), torch.tensor(sample.queries)
    starts, lengths, values = (torch.from_numpy(array.astype(np.int64)) for array in (
        sample.positives.offsets[:-1], sample.positives.lengths, sample.positives.values))  # fmt: skip
    for _ in range(STEPS):
        rows = torch.randperm(len(queries), generator=generator)[:LABELS]
        drawn = (torch.rand(len(rows), generator=generator) * lengths[rows]).long()
        alone = torch.randperm(len(documents), generator=generator)[:ALONE]
        yield torch.stack([queries[rows], documents[values[starts[rows] + drawn]]]), documents[alone]


def _start(sample: Sample, size_bytes: int) -> Tensor:
    """Directions of product centroids in random subspaces, (M, K, d)."""
    dimension = sample.vectors.shape[1]
    gaussian = np.random.default_rng(sample.seed).standard_normal((dimension, dimension))
    rotation = np.linalg.qr(gaussian)[0].astype(np.float32)
    found = product_of(sample.vectors @ rotation.T, size_bytes, sample.seed)
    units = found.centroids / np.maximum(np.linalg.norm(found.centroids, axis=2, keepdims=True), TINY)
    wide = spread(rotation.T, size_bytes).T.reshape(size_bytes, -1, dimension)
    return torch.from_numpy(np.asarray(SHARPNESS * units @ wide, np.float32))


def _codec(logits: Tensor, documents: Tensor) -> Infomax:
    raw = Infomax(logits.numpy(), np.zeros(documents.shape[1], np.float32), 1.0)
    base, scale = nearest_scale(torch.from_numpy(raw.decode(raw.encode(documents.numpy()))), documents)
    return Infomax(raw.logits, base.numpy(), scale)


def _rate(step: int) -> float:
    return min(1.0, (step + 1) / WARM_UP) * (1 + math.cos(math.pi * step / STEPS)) / 2
