"""Numbers that are no longer finite: found before they change the weights or reach a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from nearfar.core.errors import NearfarError
from nearfar.data.batches import Ids


class Diverged(NearfarError):
    """Loss, gradients or weights are no longer finite; the texts are those of the last batch."""

    def __init__(self, found: str, step: int, queries: Ids, documents: Ids) -> None:
        super().__init__(f"step {step}: expected finite loss, gradients and weights, found {found}")
        self.step = step  # counted from 1
        self.queries = queries  # numbers of texts in the batch source
        self.documents = documents


def infinite_weights(modules: Iterable[nn.Module]) -> bool:
    """Whether a parameter is not finite anywhere."""
    return not all(torch.isfinite(parameter).all() for module in modules for parameter in module.parameters())
