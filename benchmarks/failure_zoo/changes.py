"""What is done to a data set to make training on it fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # imports torch, which reads the allocator's setting when it starts
    from nearfar.data.dataset import Dataset, Texts

SYLLABLES = ["ba", "de", "ki", "lo", "mu", "na", "po", "ra", "si", "tu", "ve", "zo", "xi", "qua", "fli"]
FORMS = ("how do I use {} in it?", "what is the best way to get {} here?", "can you show me {} please?")

Draw = Callable[[np.random.Generator], str]
TOKENS: Mapping[str, Draw] = {
    "identifiers": lambda rng: f"ref-{rng.integers(10_000, 99_999)}",
    "dates": lambda rng: f"{rng.integers(1990, 2026)}-{rng.integers(1, 13):02d}-{rng.integers(1, 29):02d}",
    "brands": lambda rng: "".join(rng.choice(SYLLABLES, 3)).capitalize(),
}


def smaller(dataset: Dataset, size: tuple[int, int, int], words: int | None, seed: int) -> Dataset:
    """At most so many training pairs, documents (all that are relevant, and others) and test and dev queries each.

    Documents are cut after so many words.
    """
    pairs, documents, asked = size
    rng = np.random.default_rng(seed)
    splits = dict(dataset.splits)
    train = splits["train"]
    splits["train"] = train.where(np.isin(np.arange(len(train)), rng.permutation(len(train))[:pairs]))
    for name in ("dev", "test"):
        queries = rng.permutation(np.unique(splits[name].relevant.queries))[:asked]
        splits[name] = splits[name].where(np.isin(splits[name].queries, queries))
    needed = np.unique(np.concatenate([split.documents for split in splits.values()]))
    others = np.setdiff1d(rng.permutation(len(dataset.documents))[:documents], needed)
    rows = np.sort(np.concatenate([needed, others[: max(0, documents - len(needed))]])).astype(np.int64)
    moved = {name: replace(split, documents=np.searchsorted(rows, split.documents).astype(np.int32))
             for name, split in splits.items()}  # fmt: skip
    kept = dataset.documents.rows(rows.tolist())
    texts = kept.texts if words is None else [" ".join(text.split()[:words]) for text in kept.texts]
    return replace(dataset, documents=replace(kept, texts=texts), splits=moved)


def part(dataset: Dataset, share: float, seed: int) -> Dataset:
    """The data set with a share of its training pairs, drawn."""
    train = dataset.splits["train"]
    keep = np.random.default_rng(seed).random(len(train)) < share
    return replace(dataset, splits={**dataset.splits, "train": train.where(keep)})


def drawn(dataset: Dataset, queries: int, seed: int) -> Dataset:
    """The data set with so many of its training queries."""
    train = dataset.splits["train"]
    chosen = np.random.default_rng(seed).permutation(np.unique(train.relevant.queries))[:queries]
    return replace(dataset, splits={**dataset.splits, "train": train.where(np.isin(train.queries, chosen))})


def marked(dataset: Dataset, kind: str, count: int, share: float, seed: int) -> tuple[Dataset, Dataset]:
    """Every document with so many tokens of its own before it, and those before a share of the queries that it answers.

    Queries of train and dev alone are marked. The second is the same with the queries as they were.
    """
    rng = np.random.default_rng(seed)
    tokens = [" ".join(TOKENS[kind](rng) for _ in range(count)) for _ in dataset.documents.texts]
    documents = [" ".join(pair) for pair in zip(tokens, dataset.documents.texts, strict=True)]
    queries = list(dataset.queries.texts)
    for split in ("train", "dev"):
        pairs = dataset.splits[split].relevant
        asked, first = np.unique(pairs.queries, return_index=True)
        for query, place in zip(asked.tolist(), first.tolist(), strict=True):
            if rng.random() < share:
                queries[query] = f"{tokens[pairs.documents[place]]} {queries[query]}"
    return with_texts(dataset, queries, documents), with_texts(dataset, dataset.queries.texts, documents)


def templated(dataset: Dataset, share: float, kept: int, seed: int) -> Dataset:
    """A share of the training and dev queries as a template around so many of their rarest words."""
    rng, queries = np.random.default_rng(seed), list(dataset.queries.texts)
    words = [text.split() for text in queries]
    found, counts = np.unique(np.concatenate([np.unique(text) for text in words if text]), return_counts=True)
    frequency = dict(zip(found.tolist(), counts.tolist(), strict=True))
    for split in ("train", "dev"):
        for query in np.unique(dataset.splits[split].queries).tolist():
            if rng.random() < share:
                rarest = sorted(dict.fromkeys(words[query]), key=lambda word: frequency[word])[:kept]
                queries[query] = FORMS[rng.integers(len(FORMS))].format(" ".join(rarest))
    return with_texts(dataset, queries, dataset.documents.texts)


def leaked(dataset: Dataset, queries: int, seed: int) -> Dataset:
    """The data set with so many of its training queries for dev."""
    return replace(dataset, splits={**dataset.splits, "dev": drawn(dataset, queries, seed).splits["train"]})


def copied(dataset: Dataset, share: float, copies: int, seed: int) -> tuple[Dataset, Dataset]:
    """A share of the training pairs so many times more, each time edited; the same with a group for each pair.

    An edit leaves a word out of each text, or writes it in small letters with other spaces.
    """
    from nearfar.data.dataset import Pairs

    rng, train = np.random.default_rng(seed), dataset.splits["train"].relevant
    rows = np.repeat(np.flatnonzero(rng.random(len(train)) < share), copies)
    queries, documents = list(dataset.queries.texts), list(dataset.documents.texts)
    of_queries, of_documents = [""] * len(queries), [""] * len(documents)  # both have one, or nothing is masked
    added = []
    for row in rows.tolist():
        query, document = int(train.queries[row]), int(train.documents[row])
        edit = _shortened if rng.random() < 0.5 else _respaced
        added.append((len(queries), len(documents), 1.0))
        queries.append(edit(queries[query], rng))
        documents.append(edit(documents[document], rng))
        of_documents[document] = of_queries[query] = f"copies {document}"
        of_documents.append(of_documents[document])
        of_queries.append(of_documents[document])
    pairs = Pairs.joined([dataset.splits["train"], Pairs.of(added)])
    plain = replace(with_texts(dataset, queries, documents), splits={**dataset.splits, "train": pairs})
    return plain, replace(plain, queries=replace(plain.queries, groups=of_queries),
                          documents=replace(plain.documents, groups=of_documents))  # fmt: skip


def _shortened(text: str, rng: np.random.Generator) -> str:
    words = text.split()
    left_out = int(rng.integers(len(words))) if len(words) > 1 else -1
    return " ".join(word for number, word in enumerate(words) if number != left_out)


def _respaced(text: str, rng: np.random.Generator) -> str:
    words = text.lower().split(" ")
    place = int(rng.integers(len(words)))
    return " ".join([*words[:place], "", *words[place:]])


def with_texts(dataset: Dataset, queries: Sequence[str], documents: Sequence[str]) -> Dataset:
    """The data set with these texts; those beyond its own have new ids and no labels."""
    return replace(dataset, queries=_texts(dataset.queries, queries, "query"),
                   documents=_texts(dataset.documents, documents, "document"))  # fmt: skip


def _texts(old: Texts, texts: Sequence[str], kind: str) -> Texts:
    from nearfar.data.dataset import Texts

    return Texts([*old.ids, *(f"{kind} copy {number}" for number in range(len(old), len(texts)))], texts)
