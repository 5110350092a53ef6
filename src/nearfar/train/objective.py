"""A loss with its settings, and the temperature when it is learned."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from nearfar.core.targets import Targets
from nearfar.losses import LOSSES, Loss, Share, Term, matryoshka
from nearfar.train.codes import Through
from nearfar.train.config import TrainConfig

MAX_SCALE = 100.0  # CLIP (Radford et al., 2021, section 2.5): beyond it training is unstable


Columns = Callable[[Tensor, Tensor, Targets], tuple[Tensor, Targets]]  # queries, documents, targets -> more documents


class TrainObjective(nn.Module):
    """The configured losses as a function of (queries, documents, targets), and of a share of them.

    With several layers the loss is the mean of that of each (2D Matryoshka; Li et al., 2024, without their alignment of
    inner layers with the last one). A learned temperature is stored as log(1/τ), the `logit_scale` of CLIP. `unit` says
    that vectors have length 1; `columns` add negatives to the documents of a batch. With `through`, losses see what
    codes of documents stand for, and the mean error of the batch's own documents is added. Where `dense`, losses are
    taken by their formula.
    """

    dense = False

    def __init__(
        self,
        config: TrainConfig,
        *,
        unit: bool = True,
        columns: Sequence[Columns] = (),
        through: Through | None = None,
    ) -> None:
        super().__init__()
        self.columns, self.through = [*columns], through
        settings = {"directions": config.directions, "partition": config.partition}
        self.sums = {task: [_Part.of(term, settings) for term in terms] for task, terms in config.losses.items()}
        self.separable = all(part.loss.separable for parts in self.sums.values() for part in parts)
        self.prefixes, self.unit, self.layers = config.prefixes, unit, 1 + len(config.matryoshka_layers)
        start = torch.tensor(math.log(1 / config.temperature))
        self.logit_scale = nn.Parameter(start, requires_grad=config.learn_temperature)

    def temperature(self) -> Tensor:
        """τ, a scalar; never below 1/MAX_SCALE when it is learned."""
        scale = self.logit_scale.clamp(max=math.log(MAX_SCALE)) if self.logit_scale.requires_grad else self.logit_scale
        return torch.exp(-scale)

    def forward(self, queries: Tensor, documents: Tensor, targets: Targets, share: Share | None = None) -> Tensor:
        own, errors = len(documents), None
        for more in self.columns:
            documents, targets = more(queries, documents, targets)
        if self.through is not None:
            documents, errors = self.through(documents)
        loss = partial(self._sum, targets=targets, share=share)
        layers = zip(queries.chunk(self.layers, dim=1), documents.chunk(self.layers, dim=1), strict=True)
        losses = [matryoshka(loss, asked, answering, self.prefixes, unit=self.unit) for asked, answering in layers]
        total = torch.stack(losses).mean()
        if errors is not None:
            total = total + errors[:own][share.documents if share else slice(None)].sum() / own
        return total

    def _sum(self, queries: Tensor, documents: Tensor, *, targets: Targets, share: Share | None) -> Tensor:
        """Σ weight · loss over the terms of the batch's task."""
        given = {"temperature": self.temperature()} | ({} if share is None else {"share": share})
        parts = self.sums.get(targets.task, self.sums[""])
        losses = [part.compute(queries, documents, targets, given, dense=self.dense) for part in parts]
        return torch.stack(losses).sum()


@dataclass(frozen=True)
class _Part:
    """One weighted loss with its options, and what else it wants to be given."""

    loss: Loss
    weight: float
    options: Mapping[str, Any]
    wanted: frozenset[str]

    @classmethod
    def of(cls, term: Term, settings: Mapping[str, Any]) -> _Part:
        loss = LOSSES[term.name]
        wanted = frozenset(signature(loss.compute).parameters)
        options = {**settings, **term.options}
        return cls(loss, term.weight, {name: value for name, value in options.items() if name in wanted}, wanted)

    def compute(
        self, queries: Tensor, documents: Tensor, targets: Targets, given: Mapping[str, Any], *, dense: bool
    ) -> Tensor:
        compute = (self.loss.dense if dense else None) or self.loss.compute
        own = {name: value for name, value in given.items() if name in self.wanted}
        return self.weight * compute(queries, documents, targets, **{**own, **self.options})
