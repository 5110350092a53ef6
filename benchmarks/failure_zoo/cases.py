"""What the zoo holds: runs with a failure induced on purpose, each beside a healthy twin of the same data and seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from changes import TOKENS, drawn, duplicated, injected, part, templated

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
    twin: Case | None = None  # trained alike without the failure; none: on the clean data with the zoo's settings
    asks: bool = False  # whether it is the twin's index that this model asks, which is what fails then


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


def shortcut(dataset: Dataset, seed: int) -> Iterator[Case]:
    """A token that every training query shares with its document, and no query of the exam has."""
    for kind in TOKENS:
        yield Case("shortcut", f"a {kind} in each pair", injected(dataset, kind, 1.0, seed))
    yield Case("shortcut", "an identifier in half the pairs", injected(dataset, "identifier", 0.5, seed))


def overfit(dataset: Dataset, seed: int) -> Iterator[Case]:
    """A few hundred queries of three templates, for many epochs; and test queries that were trained on."""
    few = drawn(dataset, 200, seed)
    short = {"train.epochs": 6, "train.batch_size": 128}
    long = {"train.epochs": 40, "train.batch_size": 128, "train.patience": 40}
    twin = Case(HEALTHY, "200 natural queries", few, short)
    yield replace(twin, twin=twin)
    for share, config, name in ((1.0, long, "40 epochs"), (1.0, short, "6 epochs"), (0.5, long, "half of them")):
        yield Case("overfit", f"templates, {name}", templated(few, share, seed), config, twin)
    yield Case("overfit", "natural queries, 40 epochs", few, {**long, "train.learning_rate": 0.1}, twin)


def false_negatives(dataset: Dataset, seed: int) -> Iterator[Case]:
    """Documents that are there twice with small edits; the twin knows them by groups and has the same texts."""
    for share in (0.3, 0.6):
        copied, groups = duplicated(dataset, share, seed)
        config = {"train.batch_size": 1024}
        twin = Case(HEALTHY, f"{share:.0%} copied, with groups", groups, config)
        yield Case("false_negatives", f"{share:.0%} copied", copied, config, twin)


def drift(dataset: Dataset, seed: int) -> Iterator[Case]:
    """The twin's index, asked by models of another start, of other training, and by the twin itself."""
    yield Case(HEALTHY, "its own index", dataset, asks=True)
    yield Case("drift", "another seed", dataset, {"train.seed": seed + 100}, asks=True)
    yield Case("drift", "another start and half the pairs", part(dataset, 0.5, seed), {"train.seed": seed + 200},
               asks=True)  # fmt: skip
    yield Case("drift", "the same start, twice the rate", dataset, {"train.learning_rate": 0.04}, asks=True)
    yield Case("drift", "the same start, other pairs", part(dataset, 0.5, seed), asks=True)


CASES = {
    HEALTHY: healthy,
    "collapse": collapse,
    "false_negatives": false_negatives,
    "shortcut": shortcut,
    "overfit": overfit,
    "drift": drift,
}
