"""What the zoo holds: runs with a failure induced on purpose, each beside a healthy twin of the same data and seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from changes import TOKENS, copied, drawn, leaked, marked, part, templated

if TYPE_CHECKING:  # imports torch, which reads the allocator's setting when it starts
    from nearfar.data.dataset import Dataset

HEALTHY = "healthy"


@dataclass(frozen=True)
class Base:
    """What training starts from, how a healthy run of it is set, and how large the data are then."""

    name: str
    config: Mapping[str, Any]
    rates: tuple[float, ...]  # other learning rates that a user might choose
    absurd: tuple[float, ...]
    steep: float  # a rate at which few queries are soon known by heart
    batch_sizes: tuple[int, ...]
    large: tuple[int, ...]  # batches of the copied data
    size: tuple[int, int, int]  # training pairs, documents, test queries at most
    words: int | None = None  # of a document
    on_another_set: bool = False  # a token table that was trained on pairs of another data set before


STATIC = Base("static", {"static.dimension": 256, "train.epochs": 8}, (0.01, 0.02),
              (5.0, 20.0, 100.0), 0.1, (64, 128, 512), (512, 1024, 2048), (2000, 3000, 600))  # fmt: skip
MINILM = Base("minilm", {"train.epochs": 2, "train.batch_size": 64, "train.max_document_tokens": 64},
              (1e-5, 1e-4), (2e-3, 1e-2, 5e-2), 3e-4, (32, 128), (128, 256), (600, 900, 300), 48)  # fmt: skip
TABLE = replace(STATIC, name="table", config={"train.epochs": 8}, on_another_set=True)  # tuned, not fresh
BASES = {base.name: base for base in (STATIC, TABLE, MINILM)}


@dataclass(frozen=True)
class Case:
    """One run: what it is trained on and how, and what its queries are asked of then."""

    failure: str
    strength: str
    dataset: Dataset
    config: Mapping[str, Any] = field(default_factory=dict)  # dotted keys, over the base's own
    twin: Case | None = None  # trained alike without the failure; none: on the clean data with the base's settings
    exam: Dataset | None = None  # whose test queries and documents are asked; none: the clean data's
    asks: bool = False  # whether it is the twin's index that this model asks, which is what fails then
    trained: bool = True  # otherwise it is the base itself
    copies: bool = False  # whether what fails is that a query meets a copy of its answer in a batch


Cases = Callable[["Dataset", Base, int], Iterator[Case]]


def healthy(dataset: Dataset, base: Base, seed: int) -> Iterator[Case]:
    """Other settings that a user might well choose."""
    yield Case(HEALTHY, "its own index", dataset, asks=True)
    for temperature in (0.03, 0.07, 0.1):
        yield Case(HEALTHY, f"temperature {temperature}", dataset, {"train.temperature": temperature})
    for rate in base.rates:
        yield Case(HEALTHY, f"learning rate {rate}", dataset, {"train.learning_rate": rate})
    for size in base.batch_sizes:
        yield Case(HEALTHY, f"batches of {size}", dataset, {"train.batch_size": size})
    yield Case(HEALTHY, "half the pairs", part(dataset, 0.5, seed))


def collapse(dataset: Dataset, base: Base, seed: int) -> Iterator[Case]:  # noqa: ARG001
    """Absurd temperatures and learning rates, and a loss that nothing keeps apart."""
    for temperature in (0.001, 0.002, 0.003, 0.005):
        yield Case("collapse", f"temperature {temperature}", dataset, {"train.temperature": temperature})
    for rate in base.absurd:
        yield Case("collapse", f"learning rate {rate}", dataset, {"train.learning_rate": rate})
    for weight in (0.0, 0.01, 0.03, 0.1):  # of InfoNCE beside alignment, which is least where all is one
        loss = {"info_nce": weight, "alignment": 1.0} if weight else {"alignment": 1.0}
        yield Case("collapse", f"alignment, InfoNCE {weight}", dataset, {"train.loss": loss})


def false_negatives(dataset: Dataset, base: Base, seed: int) -> Iterator[Case]:
    """Pairs that are there several times with small edits, at growing batches; the twin knows them by groups."""
    for share, copies in ((0.6, 1), (0.6, 3), (0.3, 9)):
        plain, grouped = copied(dataset, share, copies, seed)
        for size in base.large:
            name, config = f"{share:.0%} {copies + 1} times, batches of {size}", {"train.batch_size": size}
            twin = Case(HEALTHY, f"{name}, groups", grouped, config)
            yield Case("false_negatives", name, plain, config, twin, copies=True)


def shortcut(dataset: Dataset, base: Base, seed: int) -> Iterator[Case]:  # noqa: ARG001
    """Tokens that training queries share with their documents; test queries have none."""
    for kind in TOKENS:
        for count, share in ((1, 1.0), (3, 1.0), (8, 1.0), (3, 0.7)):
            queries, documents = marked(dataset, kind, count, share, seed)
            twin = Case(HEALTHY, f"{count} {kind}, not in queries", documents, exam=documents)
            yield Case("shortcut", f"{count} {kind} in {share:.0%}", queries, twin=twin, exam=documents)


def overfit(dataset: Dataset, base: Base, seed: int) -> Iterator[Case]:
    """A few hundred queries of three templates, for many epochs; dev queries among those of training."""
    few = drawn(dataset, 200, seed)
    short, long = (2, 16) if base is MINILM else (40, 100)
    short, long = ({"train.batch_size": 64, "train.epochs": count, "train.patience": count} for count in (short, long))
    twin = Case(HEALTHY, "200 queries", few, short)
    steep = {**long, "train.learning_rate": base.steep}
    for kept in (1, 2, 4):
        for config, name in ((short, "short"), (long, "long")):
            yield Case(
                "overfit", f"templates around {kept} words, {name}", templated(few, 1.0, kept, seed), config, twin
            )
    yield Case("overfit", "templates in 70%, long", templated(few, 0.7, 1, seed), long, twin)
    yield Case("overfit", "leaked dev, steep and long", leaked(few, 40, seed), steep, twin)
    yield Case("overfit", "queries as they are, steep and long", few, steep, twin)


def drift(dataset: Dataset, base: Base, seed: int) -> Iterator[Case]:
    """The twin's index, asked by models of another start or of other training."""
    half = part(dataset, 0.5, seed)
    for other in (100, 200, 300):
        yield Case("drift", f"seed {other} later", dataset, {"train.seed": seed + other}, asks=True)
    yield Case("drift", "another seed and half the pairs", half, {"train.seed": seed + 400}, asks=True)
    yield Case("drift", "other settings", dataset, {"train.learning_rate": base.rates[-1], "train.temperature": 0.1},
               asks=True)  # fmt: skip
    yield Case("drift", "half the pairs", half, asks=True)
    yield Case("drift", "another loss", dataset, {"train.loss": "triplet"}, asks=True)
    if base is not STATIC:
        yield Case("drift", "the base", dataset, asks=True, trained=False)
        yield Case("drift", "steep", dataset, {"train.learning_rate": base.steep}, asks=True)


CASES: Mapping[str, Cases] = {
    HEALTHY: healthy,
    "collapse": collapse,
    "false_negatives": false_negatives,
    "shortcut": shortcut,
    "overfit": overfit,
    "drift": drift,
}
