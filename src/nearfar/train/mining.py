"""Negatives mined anew inside a run (ANCE; Xiong et al., 2021)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from nearfar.core.ragged import Ragged
from nearfar.data.mine import MiningConfig
from nearfar.encoder.encoder import Encoder

MineNegatives = Callable[[Encoder], Ragged]  # the negatives of each text of the batch source


class RefreshConfig(MiningConfig):
    every_steps: int = Field(default=0, ge=0)
    """Mine new negatives with the current model every so many steps; 0: never."""


class MinedNegatives(nn.Module):
    """The negatives mined last. They are state like weights, and as a module they are in every checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.negatives: Ragged | None = None

    def take(self, numbers: Sequence[int]) -> None:
        """Replace the negatives by those of which `flat` made the numbers; none: there are none yet."""
        state = np.array(numbers, np.int64)
        first = int(state[0]) + 2 if len(state) else 0
        self.negatives = Ragged(state[1:first], state[first:].astype(np.int32)) if first else None

    def get_extra_state(self) -> Tensor:
        """The numbers of `flat`; none before the first refresh."""
        return torch.tensor([] if self.negatives is None else flat(self.negatives), dtype=torch.int64)

    def set_extra_state(self, state: Tensor) -> None:
        """Take what `get_extra_state` gave."""
        self.take(state.tolist())


def flat(rows: Ragged) -> list[int]:
    """Number of rows, offsets and values, one after the other."""
    return [len(rows), *rows.offsets.tolist(), *rows.values.tolist()]
