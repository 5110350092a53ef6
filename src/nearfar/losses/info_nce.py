"""InfoNCE, also known as multiple negatives ranking loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nearfar.core.exclusions import Ids, Side, exclusions
from nearfar.core.targets import Targets
from nearfar.losses.share import Share
from nearfar.losses.streaming import negatives_logsumexp, pair_scores

Direction = Literal["query_to_document", "document_to_query", "query_to_query", "document_to_document"]
Partition = Literal["joint", "per_direction"]

SIDES: Mapping[Direction, tuple[Side, Side]] = {  # whose negatives, and among which texts
    "query_to_document": ("query", "document"),
    "document_to_query": ("document", "query"),
    "query_to_query": ("query", "query"),
    "document_to_document": ("document", "document"),
}


def info_nce(
    queries: Tensor,
    documents: Tensor,
    targets: Targets,
    *,
    temperature: float | Tensor = 0.05,
    directions: Sequence[Direction] = ("query_to_document",),
    partition: Partition = "joint",
    share: Share | None = None,
) -> Tensor:
    """Mean over queries of -log softmax at each positive against the query's negatives (van den Oord et al., 2018).

    With s = queries · documents / τ, P the positives and N the negatives of a query:
        loss = mean over q of mean over p in P of log(1 + Σ_{n in N} exp(s_n) / exp(s_p))
    Positives of one query do not compete with each other, and ignored pairs count for nothing. With one positive a
    query this is cross-entropy over the batch. Scores are computed in chunks and never held.

    Args:
        queries: (Q, d), fp32, normalised when the similarity is cosine.
        documents: (D, d).
        temperature: τ > 0, a number or a learned scalar.
        directions: where the negatives of a pair (q, p) come from: those of q among documents or queries, those of p
            among queries or documents.
        partition: "joint" puts the negatives of all directions into one sum, and counts the pair itself once for each
            direction between queries and documents (GTE; Li et al., 2023, section 3.3). "per_direction" is the mean of
            the losses of the directions alone (CLIP; Radford et al., 2021), those of documents being a mean over
            documents of a mean over their queries. Where `targets` has weights, these are weighted means.
        share: score these anchors only: queries, or documents where all directions are theirs. Default: all.
    """
    vectors: dict[Side, Tensor] = {"query": queries, "document": documents}
    anchors = dict.fromkeys(("query", *(SIDES[name][0] for name in directions)))  # in order: the same bits every time
    scaled = {side: vectors[side] / temperature for side in anchors}
    softmaxes = [tuple(directions)] if partition == "joint" else [(direction,) for direction in directions]
    losses = [_softmax_loss(scaled, vectors, targets, softmax, share) for softmax in softmaxes]
    return torch.stack(losses).mean()


def _softmax_loss(
    scaled: Mapping[Side, Tensor],
    vectors: Mapping[Side, Tensor],
    targets: Targets,
    directions: Sequence[Direction],
    share: Share | None,
) -> Tensor:
    """Σ over pairs of weight · log(1 + Σ_n exp(s_n) / (k exp(s_p))) + log k, k counting the pair's directions."""
    sides = [SIDES[direction] for direction in directions]
    pairs = _pairs(targets, "query" if any(anchor == "query" for anchor, _ in sides) else "document", share)
    own = pair_scores(scaled["query"], vectors["document"], pairs.index["query"], pairs.index["document"])  # (P,)
    against = []
    for anchor, candidate in sides:
        rows, place = np.unique(pairs.index[anchor], return_inverse=True)
        excluded = exclusions(targets, anchor, candidate)
        negatives = negatives_logsumexp(scaled[anchor], vectors[candidate], rows, excluded)
        against.append(negatives[torch.from_numpy(place).to(own.device)])
    copies = math.log(max(1, sum(anchor != candidate for anchor, candidate in sides)))
    losses = functional.softplus(torch.stack(against).logsumexp(dim=0) - own - copies) + copies  # (P,)
    return (losses * torch.from_numpy(pairs.weights).to(losses)).sum()  # autocast would narrow a product


@dataclass(frozen=True)
class _Pairs:
    """Positive pairs of a share, and their weights in the mean over anchors of the mean over an anchor's pairs."""

    index: Mapping[Side, Ids]  # (P,) each
    weights: NDArray[np.float64]  # (P,)


def _pairs(targets: Targets, anchor: Side, share: Share | None) -> _Pairs:
    index: dict[Side, Ids] = {
        "query": targets.positives.row_of_value(),
        "document": targets.positives.values.astype(np.int64),
    }
    size = len(targets) if anchor == "query" else targets.documents
    counts = np.bincount(index[anchor], minlength=size)  # pairs of each anchor
    weights = 1 / (counts[index[anchor]] * np.count_nonzero(counts))
    if targets.weights is not None:
        weights *= targets.weights[index["query"]]
        weights /= weights.sum()
    if share is None:
        return _Pairs(index, weights)
    mine = np.zeros(size, np.bool_)
    mine[share.queries if anchor == "query" else share.documents] = True
    chosen = mine[index[anchor]]
    return _Pairs({side: numbers[chosen] for side, numbers in index.items()}, weights[chosen])
