"""More training pairs out of those there are: queries rewritten by rules, with the documents they had.

Queries of the training split alone are rewritten, and nothing but queries is added: dev, test and corpus stay.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydantic import Field, field_validator

from nearfar.core.config import Config, nearest
from nearfar.core.folding import folded
from nearfar.data.dataset import Dataset, Pairs, Texts
from nearfar.data.paraphrase import paraphrase
from nearfar.text.words import words

VERSION = 1  # of the rules
TERMS_LEFT = 2  # a masked query must still ask for something

TOKEN = re.compile(r"(?:(?<!\S)|(?<=[\"'`(]))[/~$@#-]+\w[^\s\"'`(),;]*|\w(?:[\w.\-/#+:@]*\w)?")  # a path is one token
SURFACE = re.compile(r".*\d.*|[/~$@#-].*|.*\w[_./@#:]\w.*|.+[a-z][A-Z].*|[A-Z]{2,}\w*")
NAME = re.compile(r"[A-Z][a-z]+")  # of a brand or a person, unless it begins a sentence
SENTENCE_END = re.compile(r"(?:^|[.?!:]\s*)$")

EMPTY = re.compile(r"\(\s*\)|\[\s*\]|\"\s*\"|['`]\s*'|`\s*`")  # what stood around a token
Rewrite = Callable[[str, Sequence[str], np.random.Generator], str | None]  # (query, its documents, …); None: no rule


@dataclass(frozen=True)
class Augmentation:
    """A way to rewrite queries, what it is for, and where it comes from."""

    rewrite: Rewrite
    keeps_negatives: bool  # whether what does not answer the query does not answer the new one either
    purpose: str
    source: str


def without_surface(query: str, documents: Sequence[str], generator: np.random.Generator) -> str | None:  # noqa: ARG001
    """`query` without the identifiers, numbers, dates, paths and acronyms that a document of its own shares exactly."""
    return _without(query, documents, lambda match: bool(SURFACE.fullmatch(match[0])))


def without_names(query: str, documents: Sequence[str], generator: np.random.Generator) -> str | None:  # noqa: ARG001
    """`query` without the words in capitals, but for the first of a sentence, that a document of its own shares."""
    return _without(
        query,
        documents,
        lambda match: bool(NAME.fullmatch(match[0])) and not SENTENCE_END.search(query[: match.start()]),
    )


def _without(query: str, documents: Sequence[str], is_masked: Callable[[re.Match[str]], bool]) -> str | None:
    """What is masked is taken out and not replaced: a placeholder would be a word that no real query has."""
    shared = {token for document in documents for token in TOKEN.findall(document)}
    found = [match for match in TOKEN.finditer(query) if match[0] in shared and is_masked(match)]
    ends = [0, *(match.end() for match in found)]
    parts = [query[start : match.start()] for start, match in zip(ends, found, strict=False)]
    text = EMPTY.sub(" ", " ".join([*parts, query[ends[-1] :]]))
    text = re.sub(r"\s+([.,;:?!)\]])(?=\s|$)", r"\1", " ".join(text.split()))
    return text if found and len(words(text)) >= TERMS_LEFT else None


AUGMENTATIONS: Mapping[str, Augmentation] = {
    "mask": Augmentation(
        without_surface,
        False,  # noqa: FBT003  # without its number a query may be answered by what it was told apart from
        "take out numbers, dates and identifiers that a query shares with its document: they teach a shortcut",
        "against shortcut learning (Geirhos et al., 2020)",
    ),
    "names": Augmentation(
        without_names,
        False,  # noqa: FBT003
        "take out names of brands and people in the same way; not where the name is all that is asked for",
        "against shortcut learning (Geirhos et al., 2020)",
    ),
    "paraphrase": Augmentation(
        paraphrase,
        True,  # noqa: FBT003
        "say English questions in other function words and other order of clauses",
        "after the paraphrasing of QZhou-Embedding (2025), by rules",
    ),
}


class AugmentConfig(Config):
    share: float = Field(default=0.2, gt=0, le=1)
    """Rewrite so many of the training queries in each way, where a rule applies to so many."""
    kinds: tuple[str, ...] = Field(default=("mask", "paraphrase"), min_length=1)
    """Ways to rewrite: mask, names, paraphrase."""
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


def rewritten(dataset: Dataset, config: AugmentConfig) -> tuple[Rewritten, ...]:
    """Rewrite training queries of `dataset`; the same ones for the same data and settings.

    A text that is a query already, of whatever split, or a document, is not made.
    """
    judged, taken = dataset.judged("train"), _texts_of(dataset)
    wanted = round(config.share * len(judged.queries))
    made: list[Rewritten] = []
    for kind in config.kinds:
        number = list(AUGMENTATIONS).index(kind)
        order = np.random.default_rng([config.seed, number]).permutation(len(judged.queries))
        before = len(made)
        for place in order:
            row = int(judged.queries[place])
            documents = [dataset.documents.texts[document] for document in judged.documents[int(place)]]
            generator = np.random.default_rng([config.seed, number, row])
            text = AUGMENTATIONS[kind].rewrite(dataset.queries.texts[row], documents, generator)
            if text is not None and folded(text) not in taken and len(made) - before < wanted:
                taken.add(folded(text))
                made.append(Rewritten(text, dataset.queries.ids[row], kind))
            if len(made) - before == wanted:
                break
    return tuple(made)


def _texts_of(dataset: Dataset) -> set[str]:
    return {folded(text) for side in (dataset.queries, dataset.documents) for text in side.texts}


def with_rewritten(dataset: Dataset, made: Sequence[Rewritten]) -> Dataset:
    """`dataset` with these queries in its training split, their source marked by what made them ("wiki+mask")."""
    if not made:
        return dataset
    row_of = {name: row for row, name in enumerate(dataset.queries.ids)}
    rows = [row_of[one.of] for one in made]
    counts = Counter(one.kind for one in made)
    told = ", ".join(f"{count:,} by {kind}" for kind, count in counts.items())
    return replace(
        dataset,
        queries=_queries(dataset.queries, rows, made),
        splits={**dataset.splits, "train": Pairs.joined([dataset.splits["train"], *_pairs(dataset, rows, made)])},
        notices=(*dataset.notices, f"rewrote training queries: {told}"),
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


def _pairs(dataset: Dataset, rows: Sequence[int], made: Sequence[Rewritten]) -> Iterator[Pairs]:
    """The training pairs of the new queries, which are those of the queries they were made of."""
    train = dataset.splits["train"]
    order = np.argsort(train.queries, kind="stable")
    first = np.searchsorted(train.queries[order], [rows, [row + 1 for row in rows]])
    for number, (one, start, stop) in enumerate(zip(made, *first, strict=True)):
        own = order[start:stop]
        own = own if AUGMENTATIONS[one.kind].keeps_negatives else own[train.scores[own] > 0]
        queries = np.full(len(own), len(dataset.queries) + number, np.int32)
        yield Pairs(queries, train.documents[own], train.scores[own])
