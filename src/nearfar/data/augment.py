"""More training pairs out of those there are: queries rewritten by rules, with the documents they had.

Queries of the training split alone are rewritten, and those of dev where they are replaced. Nothing but queries is
added: test and corpus stay.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydantic import Field, field_validator

from nearfar.core.config import Config, nearest
from nearfar.core.folding import folded
from nearfar.core.surface import FAMILIES, NAME, TOKEN, family_at
from nearfar.data.dataset import Dataset, Pairs, Texts
from nearfar.data.paraphrase import paraphrase
from nearfar.text.words import words

VERSION = 2  # of the rules
TERMS_LEFT = 2  # a masked query must still ask for something

EMPTY = re.compile(r"\(\s*\)|\[\s*\]|\"\s*\"|['`]\s*'|`\s*`")  # what stood around a token
Words = Container[str]  # that a document of the corpus writes small
Rewrite = Callable[[str, Sequence[str], Words, np.random.Generator], str | None]  # (query, its documents, …)


@dataclass(frozen=True)
class Augmentation:
    """A way to rewrite queries, what it is for, and where it comes from."""

    rewrite: Rewrite
    keeps_negatives: bool  # whether what does not answer the query does not answer the new one either
    purpose: str
    source: str


def without(*families: str) -> Rewrite:
    """The rule that takes tokens of these families out of a query, which a document of its own shares exactly."""

    def masked(query: str, documents: Sequence[str], written: Words, rng: np.random.Generator) -> str | None:  # noqa: ARG001
        shared = {token for document in documents for token in TOKEN.findall(document)}
        found = [match for match in TOKEN.finditer(query)
                 if match[0] in shared and family_at(match, written) in families]  # fmt: skip
        return _without(query, found) if found else None

    return masked


def _without(query: str, found: Sequence[re.Match[str]]) -> str | None:
    """What is masked is taken out and not replaced: a placeholder would be a word that no real query has."""
    ends = [0, *(match.end() for match in found)]
    parts = [query[start : match.start()] for start, match in zip(ends, found, strict=False)]
    text = EMPTY.sub(" ", " ".join([*parts, query[ends[-1] :]]))
    text = re.sub(r"\s+([.,;:?!)\]])(?=\s|$)", r"\1", " ".join(text.split()))
    return text if len(words(text)) >= TERMS_LEFT else None


def in_other_words(query: str, documents: Sequence[str], written: Words, rng: np.random.Generator) -> str | None:  # noqa: ARG001
    """`query` paraphrased by rules."""
    return paraphrase(query, rng)


def _mask(purpose: str, *families: str) -> Augmentation:
    # without its number a query may be answered by what it was told apart from
    return Augmentation(without(*families), keeps_negatives=False, purpose=purpose,
                        source="against shortcut learning (Geirhos et al., 2020)")  # fmt: skip


AUGMENTATIONS: Mapping[str, Augmentation] = {
    "mask": _mask(
        "take out numbers, dates and identifiers that a query shares with its document: they teach a shortcut",
        *(family for family in FAMILIES if family != NAME),
    ),
    "names": _mask(
        "take out names of brands and people in the same way; not where the name is all that is asked for", NAME
    ),
    "paraphrase": Augmentation(
        in_other_words,
        keeps_negatives=True,
        purpose="say English questions in other function words and other order of clauses",
        source="after the paraphrasing of QZhou-Embedding (2025), by rules",
    ),
    **{f"{family}s": _mask(f"take out {family}s alone", family) for family in FAMILIES if family != NAME},
}


class AugmentConfig(Config):
    share: float = Field(default=0.2, gt=0, le=1)
    """Rewrite so many of the training queries in each way, where a rule applies to so many."""
    kinds: tuple[str, ...] = Field(default=("mask", "paraphrase"), min_length=1)
    """Ways to rewrite: mask (or dates, numbers, paths, identifiers, acronyms alone), names, paraphrase."""
    replace: bool = False
    """Let the rewritten queries take the place of their own, in dev too, which would not tell what is left without."""
    seed: int = Field(default=0, ge=0)
    """Seed of what is drawn."""

    @field_validator("kinds")
    @classmethod
    def _known_kinds(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in AUGMENTATIONS:
                raise ValueError(f"known ways to rewrite, not {name!r} ({nearest(name, list(AUGMENTATIONS))})")
        return tuple(dict.fromkeys(value))


@dataclass(frozen=True)
class Rewritten:
    """A new query, which one it was made of, and how."""

    text: str
    of: str  # id of the query
    kind: str
    split: str = "train"


def rewritten(dataset: Dataset, config: AugmentConfig) -> tuple[Rewritten, ...]:
    """Rewrite training queries of `dataset`, and dev queries where they are replaced; the same for the same data.

    A text that is a query already, of whatever split, or a document, is not made.
    """
    taken = _texts_of(dataset)
    written = frozenset(token for text in dataset.documents.texts for token in TOKEN.findall(text))
    splits = ("train", "dev") if config.replace and "dev" in dataset.splits else ("train",)
    return tuple(one for split in splits for one in _of_split(dataset, split, config, taken, written))


def _of_split(
    dataset: Dataset, split: str, config: AugmentConfig, taken: set[str], written: Words
) -> Iterator[Rewritten]:
    judged = dataset.judged(split)
    wanted = round(config.share * len(judged.queries))
    for kind in config.kinds:
        number = list(AUGMENTATIONS).index(kind)
        order = np.random.default_rng([config.seed, number]).permutation(len(judged.queries))
        count = 0
        for place in order:
            row = int(judged.queries[place])
            documents = [dataset.documents.texts[document] for document in judged.documents[int(place)]]
            generator = np.random.default_rng([config.seed, number, row])
            text = AUGMENTATIONS[kind].rewrite(dataset.queries.texts[row], documents, written, generator)
            if text is not None and folded(text) not in taken and count < wanted:
                taken.add(folded(text))
                count += 1
                yield Rewritten(text, dataset.queries.ids[row], kind, split)
            if count == wanted:
                break


def _texts_of(dataset: Dataset) -> set[str]:
    return {folded(text) for side in (dataset.queries, dataset.documents) for text in side.texts}


def with_rewritten(dataset: Dataset, made: Sequence[Rewritten], *, replacing: bool = False) -> Dataset:
    """`dataset` with these queries in their splits, their source marked by what made them ("wiki+mask").

    When `replacing`, those they are made of are there no more.
    """
    if not made:
        return dataset
    row_of = {name: row for row, name in enumerate(dataset.queries.ids)}
    rows = [row_of[one.of] for one in made]
    counts = Counter(one.kind for one in made)
    told = ", ".join(f"{count:,} by {kind}" for kind, count in counts.items())
    splits = dict(dataset.splits)
    for name in dict.fromkeys(one.split for one in made):
        kept = splits[name].where(~np.isin(splits[name].queries, rows)) if replacing else splits[name]
        splits[name] = Pairs.joined([kept, *_pairs(dataset, rows, made, name)])
    return replace(
        dataset,
        queries=_queries(dataset.queries, rows, made),
        splits=splits,
        notices=(*dataset.notices, f"rewrote {' and '.join(dict.fromkeys(one.split for one in made))} queries: {told}"),
    )


def _queries(queries: Texts, rows: Sequence[int], made: Sequence[Rewritten]) -> Texts:
    new = queries.rows(rows)
    marked = [f"{source}+{one.kind}".lstrip("+")
              for source, one in zip(new.sources or [""] * len(rows), made, strict=True)]  # fmt: skip
    labels = new.labels | {"source": marked}
    columns = [[*(column or [""] * len(queries)), *(labels[name] or [""] * len(rows))]
               for name, column in queries.labels.items()]  # fmt: skip
    ids = [*queries.ids, *(f"{one.of}+{one.kind}" for one in made)]
    return Texts.labelled(ids, [*queries.texts, *(one.text for one in made)], columns)


def _pairs(dataset: Dataset, rows: Sequence[int], made: Sequence[Rewritten], split: str) -> Iterator[Pairs]:
    """The pairs of the new queries of a split, which are those of the queries they were made of."""
    train = dataset.splits[split]
    order = np.argsort(train.queries, kind="stable")
    first = np.searchsorted(train.queries[order], [rows, [row + 1 for row in rows]])
    for number, (one, start, stop) in enumerate(zip(made, *first, strict=True)):
        own = order[start : stop if one.split == split else start]
        own = own if AUGMENTATIONS[one.kind].keeps_negatives else own[train.scores[own] > 0]
        queries = np.full(len(own), len(dataset.queries) + number, np.int32)
        yield Pairs(queries, train.documents[own], train.scores[own])
