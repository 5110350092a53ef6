"""Training pairs out of documents alone: a passage of each asks for the document it is of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydantic import Field

from nearfar.core.config import Config
from nearfar.core.folding import folded
from nearfar.data.dataset import Dataset, Pairs, Texts

VERSION = 2  # of how passages are drawn and named
SOURCE = "cloze"
SHORTEST, LONGEST = 4, 16  # words of a passage, which is as long as questions are


class ClozeConfig(Config):
    share: float = Field(default=1.0, gt=0, le=1)
    """Share of the documents that passages are drawn from."""
    passages: int = Field(default=1, ge=0)
    """Passages of each document, in place of those of a stage before; 0: none any more."""
    seed: int = Field(default=0, ge=0)
    """Seed of what is drawn."""


@dataclass(frozen=True)
class Passage:
    """Words that stand together in a document."""

    text: str
    of: str  # id of the document


def passages(dataset: Dataset, config: ClozeConfig) -> tuple[Passage, ...]:
    """Draw passages of the documents; the same ones for the same data and settings.

    Each is of 4 to 16 words, and of half a document's at most: shorter documents than 8 words have none. A text that is
    a query or a document already is left out. After the inverse cloze task (Lee et al., 2019) and the cropping of
    Contriever (Izacard et al., 2022); the passage stays in its document.
    """
    generator = np.random.default_rng(config.seed)
    taken = {folded(text) for side in (dataset.queries, dataset.documents) for text in side.texts}
    chosen = generator.permutation(len(dataset.documents))[: max(1, round(config.share * len(dataset.documents)))]
    made = []
    for row in np.sort(chosen).tolist():
        words = dataset.documents.texts[row].split()
        for _ in range(config.passages if len(words) >= 2 * SHORTEST else 0):
            text = _drawn(words, generator)
            if folded(text) not in taken:
                taken.add(folded(text))
                made.append(Passage(text, dataset.documents.ids[row]))
    return tuple(made)


def _drawn(words: Sequence[str], generator: np.random.Generator) -> str:
    length = int(generator.integers(SHORTEST, min(LONGEST, len(words) // 2) + 1))
    start = int(generator.integers(len(words) - length + 1))
    return " ".join(words[start : start + length])


def with_passages(dataset: Dataset, made: Sequence[Passage]) -> Dataset:
    """`dataset` with these passages as training queries, each with the document it is of; their source is "cloze".

    They take the place of those that were added before.
    """
    dataset = _without_passages(dataset)
    if not made:
        return dataset
    row_of = {name: row for row, name in enumerate(dataset.documents.ids)}
    old, first = dataset.queries, len(dataset.queries)
    columns = [[*(column or [""] * first), *([SOURCE if name == "source" else ""] * len(made))]
               for name, column in old.labels.items()]  # fmt: skip
    ids = [*old.ids, *(f"{one.of}+{SOURCE}{first + number}" for number, one in enumerate(made))]
    pairs = Pairs.of([(first + number, row_of[one.of], 1.0) for number, one in enumerate(made)])
    return replace(
        dataset,
        queries=Texts.labelled(ids, [*old.texts, *(one.text for one in made)], columns),
        splits={**dataset.splits, "train": Pairs.joined([dataset.splits["train"], pairs])},
        notices=(*dataset.notices, f"drew {len(made):,} passages of documents as training queries"),
    )


def _without_passages(dataset: Dataset) -> Dataset:
    """No pair of a passage; the texts stay where they are, so that rows do."""
    queries, train = dataset.queries, dataset.splits["train"]
    passage = np.array([source.split("+")[0] == SOURCE and f"+{SOURCE}" in name  # rewritten ones, too
                        for name, source in zip(queries.ids, queries.sources or [""] * len(queries), strict=True)],
                       np.bool_)  # fmt: skip
    if not passage.any():
        return dataset
    return replace(dataset, splits={**dataset.splits, "train": train.where(~passage[train.queries])})
