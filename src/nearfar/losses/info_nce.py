"""InfoNCE, also known as multiple negatives ranking loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from nearfar.core.targets import Targets
from nearfar.losses.masks import Masks, masks

EXCLUDED = -1e30  # finite: a row without negatives then has the loss 0 and the gradient 0, not NaN


def info_nce(
    queries: Tensor,
    documents: Tensor,
    targets: Targets,
    *,
    temperature: float | Tensor = 0.05,
    symmetric: bool = False,
) -> Tensor:
    """Mean over queries of -log softmax at each positive against the query's negatives (van den Oord et al., 2018).

    With s = queries · documents / τ, P the positives and N the negatives of a query:
        loss = mean over q of mean over p in P of log(1 + Σ_{n in N} exp(s_n) / exp(s_p))
    Positives of one query do not compete with each other, and ignored pairs count for nothing. With one positive a
    query this is cross-entropy over the batch.

    Args:
        queries: (Q, d), fp32, normalised when the similarity is cosine.
        documents: (D, d).
        temperature: τ > 0, a number or a learned scalar.
        symmetric: add the same loss from documents to queries, and halve (CLIP, Radford et al., 2021).
    """
    logits = queries @ documents.T / temperature  # (Q, D)
    pairs = masks(targets, logits.device)
    loss = _one_direction(logits, pairs)
    if not symmetric:
        return loss
    return (loss + _one_direction(logits.T, pairs.transposed())) / 2


def _one_direction(logits: Tensor, pairs: Masks) -> Tensor:
    against = torch.logsumexp(logits.masked_fill(~pairs.negatives, EXCLUDED), dim=1, keepdim=True)  # (Q, 1)
    losses = functional.softplus(against - logits) * pairs.positives
    counts = pairs.positives.sum(dim=1)
    anchored = counts > 0
    return (losses.sum(dim=1)[anchored] / counts[anchored]).mean()
