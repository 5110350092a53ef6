"""A loss with its settings, and the temperature when it is learned."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from nearfar.core.targets import Targets
from nearfar.losses import LOSSES, Share, matryoshka
from nearfar.train.config import TrainConfig

MAX_SCALE = 100.0  # CLIP (Radford et al., 2021, section 2.5): beyond it training is unstable


Columns = Callable[[Tensor, Tensor, Targets], tuple[Tensor, Targets]]  # queries, documents, targets -> more documents


class TrainObjective(nn.Module):
    """The configured loss as a function of (queries, documents, targets), and of a share of them.

    A learned temperature is stored as log(1/τ), the `logit_scale` of CLIP. `unit` says that vectors have length 1;
    `columns` add negatives to the documents of a batch.
    """

    def __init__(self, config: TrainConfig, *, unit: bool = True, columns: Sequence[Columns] = ()) -> None:
        super().__init__()
        self.columns = [*columns]
        self.loss = LOSSES[config.loss].compute
        self.separable = LOSSES[config.loss].separable
        self.directions, self.partition = config.directions, config.partition
        self.prefixes, self.unit = config.prefixes, unit
        start = torch.tensor(math.log(1 / config.temperature))
        self.logit_scale = nn.Parameter(start, requires_grad=config.learn_temperature)

    def temperature(self) -> Tensor:
        """τ, a scalar; never below 1/MAX_SCALE when it is learned."""
        scale = self.logit_scale.clamp(max=math.log(MAX_SCALE)) if self.logit_scale.requires_grad else self.logit_scale
        return torch.exp(-scale)

    def forward(self, queries: Tensor, documents: Tensor, targets: Targets, share: Share | None = None) -> Tensor:
        for more in self.columns:
            documents, targets = more(queries, documents, targets)
        loss = partial(
            self.loss,
            targets=targets,
            temperature=self.temperature(),
            directions=self.directions,
            partition=self.partition,
        )
        if share is not None:
            loss = partial(loss, share=share)
        return matryoshka(loss, queries, documents, self.prefixes, unit=self.unit)
