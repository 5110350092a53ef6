"""InfoNCE by its formula, with every score of the batch in memory: what the streaming loss is held against."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nearfar.core.exclusions import Side
from nearfar.core.targets import NO_GROUP, Targets
from nearfar.losses.info_nce import SIDES, Direction, Partition

EXCLUDED = -1e30


def dense_info_nce(
    queries: Tensor,
    documents: Tensor,
    targets: Targets,
    *,
    temperature: float | Tensor,
    directions: Sequence[Direction],
    partition: Partition,
) -> Tensor:
    """The value of `info_nce` by plain matrix operations and autograd, in float64; its arguments mean the same.

    A small loss is a small difference of large scores: in single precision this formula would lose what it is to prove.
    """
    precision = queries.dtype
    queries, documents = queries.double(), documents.double()
    vectors = {"query": queries, "document": documents}
    scores = {(a, c): vectors[a] @ vectors[c].T / temperature for a, c in set(map(SIDES.__getitem__, directions))}
    own = queries @ documents.T / temperature  # (Q, D)
    positives = torch.from_numpy(targets.positive_mask()).to(own)
    weights = own.new_tensor(np.ones(len(targets)) if targets.weights is None else targets.weights)
    softmaxes = [tuple(directions)] if partition == "joint" else [(direction,) for direction in directions]
    losses = []
    for softmax in softmaxes:
        sides = [SIDES[direction] for direction in softmax]
        against = []
        for anchor, candidate in sides:
            excluded = torch.from_numpy(_excluded(targets, anchor, candidate)).to(own.device)
            negatives = scores[anchor, candidate].masked_fill(excluded, EXCLUDED).logsumexp(dim=1)
            against.append((negatives[:, None] if anchor == "query" else negatives[None, :]).expand_as(own))
        copies = sum(anchor != candidate for anchor, candidate in sides) or 1
        total = torch.logsumexp(torch.stack([*against, own + math.log(copies)]), dim=0)  # (Q, D)
        losses.append(_mean_of_means(total - own, positives * weights[:, None], sides))
    return torch.stack(losses).mean().to(precision)


def _mean_of_means(losses: Tensor, weights: Tensor, sides: Sequence[tuple[Side, Side]]) -> Tensor:
    """Mean over anchors of the mean over their pairs: queries, or documents where all directions are theirs."""
    dimension = 1 if any(anchor == "query" for anchor, _ in sides) else 0
    pairs = (weights > 0).sum(dim=dimension).clamp(min=1)
    return ((losses * weights).sum(dim=dimension) / pairs).sum() / (weights.sum(dim=dimension) / pairs).sum()


def _excluded(targets: Targets, anchor: Side, candidate: Side) -> NDArray[np.bool_]:
    """(anchors, candidates): same text, same group, relevant to each other or to the same text."""
    texts = {"query": targets.query_texts, "document": targets.document_texts}
    groups = {"query": targets.query_groups, "document": targets.document_groups}
    relevant = targets.positive_mask() | targets.known.dense(targets.documents)
    to_documents = {"query": relevant, "document": np.eye(targets.documents, dtype=np.bool_)}
    to_queries = {"query": np.eye(len(targets), dtype=np.bool_), "document": relevant.T}
    links = to_documents if anchor == candidate == "query" else to_queries
    linked = links[anchor] @ links[candidate].T
    same_group = (groups[anchor][:, None] == groups[candidate]) & (groups[anchor] != NO_GROUP)[:, None]
    found: NDArray[np.bool_] = linked | same_group | (texts[anchor][:, None] == texts[candidate])
    return found
