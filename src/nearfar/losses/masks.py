"""Targets as boolean tensors on the loss's device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nearfar.core.targets import Targets


@dataclass(frozen=True)
class Masks:
    """(Q, D) booleans; a pair that is in neither is ignored."""

    positives: Tensor
    negatives: Tensor

    def transposed(self) -> Masks:
        """The same pairs seen from the documents, (D, Q)."""
        return Masks(self.positives.T, self.negatives.T)


def masks(targets: Targets, device: torch.device) -> Masks:
    """Build both masks of `targets` on `device`."""
    positives = torch.from_numpy(targets.positive_mask())
    ignored = torch.from_numpy(targets.ignored_mask())
    return Masks(positives.to(device), ~(positives | ignored).to(device))
