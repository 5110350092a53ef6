"""What the zoo holds: runs with a failure induced on purpose, each beside a healthy twin of the same data and seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # imports torch, which reads the allocator's setting when it starts
    from nearfar.data.dataset import Dataset

HEALTHY = "healthy"
EPOCHS, DIMENSION = 4, 256


@dataclass(frozen=True)
class Case:
    """One run: what it is trained on and how; it is examined on the test queries of the clean data."""

    failure: str
    strength: str
    dataset: Dataset
    config: Mapping[str, Any] = field(default_factory=dict)  # dotted keys, over the zoo's own


def settings(seed: int) -> dict[str, Any]:
    """Of every run of the zoo, unless its case says otherwise."""
    return {"static.dimension": DIMENSION, "train.epochs": EPOCHS, "train.seed": seed, "train.learning_rate": 0.02}


def healthy(dataset: Dataset, seed: int) -> Iterator[Case]:
    """The twin, and other settings that a user might well choose."""
    yield Case(HEALTHY, "twin", dataset)
    for temperature in (0.03, 0.07, 0.1):
        yield Case(HEALTHY, f"temperature {temperature}", dataset, {"train.temperature": temperature})
    for rate in (0.01, 0.04):
        yield Case(HEALTHY, f"learning rate {rate}", dataset, {"train.learning_rate": rate})
    for size in (64, 128, 512):
        yield Case(HEALTHY, f"batches of {size}", dataset, {"train.batch_size": size})
    yield Case(HEALTHY, "half the pairs", part(dataset, 0.5, seed))


def collapse(dataset: Dataset, seed: int) -> Iterator[Case]:  # noqa: ARG001
    """Absurd temperatures and learning rates, and a loss that nothing keeps apart."""
    for temperature in (0.001, 0.002, 0.003, 0.005):
        yield Case("collapse", f"temperature {temperature}", dataset, {"train.temperature": temperature})
    for rate in (5.0, 20.0, 100.0):
        yield Case("collapse", f"learning rate {rate}", dataset, {"train.learning_rate": rate})
    for weight in (0.01, 0.03, 0.1):  # of InfoNCE beside alignment, which is least where all is one
        loss = {"info_nce": weight, "alignment": 1.0}
        yield Case("collapse", f"alignment, InfoNCE {weight}", dataset, {"train.loss": loss})


def part(dataset: Dataset, share: float, seed: int) -> Dataset:
    """The data set with a share of its training pairs, drawn."""
    train = dataset.splits["train"]
    keep = np.random.default_rng(seed).random(len(train)) < share
    return replace(dataset, splits={**dataset.splits, "train": train.where(keep)})


CASES = {HEALTHY: healthy, "collapse": collapse}
