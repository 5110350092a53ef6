"""Every loss by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from nearfar.losses.dense import dense_info_nce
from nearfar.losses.info_nce import info_nce


@dataclass(frozen=True)
class Loss:
    """A loss, what it is for, and where it comes from."""

    compute: Callable[..., Tensor]  # (queries, documents, targets, *, temperature, directions, partition, share)
    purpose: str
    source: str
    separable: bool  # whether the losses of disjoint shares add up to the batch's
    dense: Callable[..., Tensor] | None = None  # the same by its formula, without share, where compute is not that


LOSSES: Mapping[str, Loss] = {
    "info_nce": Loss(
        info_nce,
        "rank each positive above all other documents of the batch",
        "van den Oord et al., 2018",
        separable=True,
        dense=dense_info_nce,
    ),
}
