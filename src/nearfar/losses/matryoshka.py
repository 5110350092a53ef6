"""Matryoshka: the loss of whole vectors together with the losses of their prefixes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor
from torch.nn import functional


def matryoshka(
    loss: Callable[[Tensor, Tensor], Tensor],
    queries: Tensor,
    documents: Tensor,
    prefixes: Mapping[int, float],
    *,
    unit: bool,
) -> Tensor:
    """Weighted mean of `loss` over whole vectors (weight 1) and prefixes (Kusupati et al., 2022).

    Args:
        loss: of queries (Q, k) and documents (D, k).
        queries: (Q, d).
        documents: (D, d).
        prefixes: weight of each number of leading dimensions, below d.
        unit: vectors have length 1, and prefixes are brought back to it.
    """
    total = loss(queries, documents)
    for dimensions, weight in prefixes.items():
        parts = (vectors[:, :dimensions] for vectors in (queries, documents))
        total = total + weight * loss(*(functional.normalize(part, dim=1) if unit else part for part in parts))
    return total / (1 + sum(prefixes.values()))
