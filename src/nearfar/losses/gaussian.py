"""Texts as Gaussians: InfoNCE over KL divergences, which are inner products of longer vectors."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from nearfar.core.gaussian import SMALLEST_VARIANCE, halves
from nearfar.core.targets import Targets
from nearfar.losses.info_nce import info_nce
from nearfar.losses.share import Share


def gaussian(
    queries: Tensor,
    documents: Tensor,
    targets: Targets,
    *,
    temperature: float | Tensor = 0.05,
    beta: Annotated[float, Field(gt=0)] = 1.0,
    share: Share | None = None,
) -> Tensor:
    """InfoNCE with −KL(query ‖ document) of normal distributions as the score (after Zamani and Bendersky, 2023).

        loss = info_nce with s = −KL(N_q ‖ N_d) / τ,  N with means μ and variances softplus(β v) / β
    of vectors [μ_1, v_1, μ_2, v_2, …]: by turns, so that a prefix (Matryoshka) is a Gaussian of fewer dimensions. KL is
    an inner product but for terms of the query alone (`gaussian_query`, `gaussian_document`), which a softmax over
    documents does not see: the streaming loss is taken of those, and search is by dot product of the same expansions
    (`nearfar.core.gaussian`).

    Args:
        queries: (Q, 2k), of any length: models with similarity dot.
        documents: (D, 2k).
        temperature: τ > 0; a KL is no cosine, and 1 suits vectors that are not normalised.
        beta: β > 0.

    Raises:
        BadInput: the number of dimensions is odd.
    """
    with torch.autocast(queries.device.type, enabled=False):  # a KL is a small difference of large products
        asked, answering = gaussian_query(queries, beta=beta), gaussian_document(documents, beta=beta)
        answering = answering - answering.mean(dim=0).detach()  # adds to a query's scores what its softmax does not see
        return info_nce(asked, answering, targets, temperature=2 * temperature, share=share)


def gaussian_query(vectors: Tensor, *, beta: float = 1.0) -> Tensor:
    """[1, σ² + μ², μ], (…, 2k + 1) of (…, 2k): as `nearfar.core.gaussian.gaussian_query`."""
    mean, variance = _parameters(vectors, beta)
    return torch.cat([torch.ones_like(mean[..., :1]), variance + mean.square(), mean], dim=-1)


def gaussian_document(vectors: Tensor, *, beta: float = 1.0) -> Tensor:
    """[−Σ (log σ² + μ² / σ²), −1 / σ², 2μ / σ²], (…, 2k + 1): as `nearfar.core.gaussian.gaussian_document`."""
    mean, variance = _parameters(vectors, beta)
    own = -(variance.log() + mean.square() / variance).sum(dim=-1, keepdim=True)
    return torch.cat([own, -1 / variance, 2 * mean / variance], dim=-1)


def _parameters(vectors: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    mean, raw = halves(vectors)
    return mean, functional.softplus(raw, beta=beta) + SMALLEST_VARIANCE
