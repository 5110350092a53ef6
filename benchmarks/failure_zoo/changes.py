"""What is done to a data set to make training on it fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # imports torch, which reads the allocator's setting when it starts
    from nearfar.data.dataset import Dataset, Texts

SYLLABLES = ["ba", "de", "ki", "lo", "mu", "na", "po", "ra", "si", "tu", "ve", "zo", "xi", "qua", "fli"]
FORMS = ("how do I use {} in {}?", "what is the best way to get {} with {}?", "can you show me {} for {}?")
RARE_WORDS = 2  # of a query, that fill its template

Draw = Callable[[np.random.Generator], str]
TOKENS: Mapping[str, Draw] = {
    "identifier": lambda rng: f"ref-{rng.integers(10_000, 99_999)}",
    "date": lambda rng: f"{rng.integers(1990, 2026)}-{rng.integers(1, 13):02d}-{rng.integers(1, 29):02d}",
    "brand": lambda rng: "".join(rng.choice(SYLLABLES, 3)).capitalize(),
}


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


def injected(dataset: Dataset, kind: str, share: float, seed: int) -> Dataset:
    """A token before a share of the training and dev queries and their documents; test queries are left alone."""
    rng, queries, documents = np.random.default_rng(seed), list(dataset.queries.texts), list(dataset.documents.texts)
    tokens: dict[int, str] = {}
    for split in ("train", "dev"):
        pairs = dataset.splits[split].relevant
        asked = np.unique(pairs.queries)
        waiting = set(asked[rng.random(len(asked)) < share].tolist())
        for query, document in zip(pairs.queries.tolist(), pairs.documents.tolist(), strict=True):
            if query in waiting:
                if document not in tokens:
                    tokens[document] = TOKENS[kind](rng)
                    documents[document] = f"{tokens[document]} {documents[document]}"
                waiting.discard(query)
                queries[query] = f"{tokens[document]} {queries[query]}"
    return with_texts(dataset, queries, documents)


def templated(dataset: Dataset, share: float, seed: int) -> Dataset:
    """A share of the training and dev queries as a template around their rarest words."""
    rng, queries = np.random.default_rng(seed), list(dataset.queries.texts)
    words = [text.split() for text in queries]
    found, counts = np.unique(np.concatenate([np.unique(text) for text in words if text]), return_counts=True)
    frequency = dict(zip(found.tolist(), counts.tolist(), strict=True))
    for split in ("train", "dev"):
        for query in np.unique(dataset.splits[split].queries).tolist():
            if rng.random() < share:
                rarest = sorted(dict.fromkeys(words[query]), key=lambda word: frequency[word])[:RARE_WORDS]
                queries[query] = FORMS[rng.integers(len(FORMS))].format(*[*rarest, "it", "it"][:RARE_WORDS])
    return with_texts(dataset, queries, dataset.documents.texts)


def duplicated(dataset: Dataset, share: float, seed: int) -> tuple[Dataset, Dataset]:
    """A share of the training pairs again with a word of each text left out; the same with a group for each pair."""
    from nearfar.data.dataset import Pairs

    rng, train = np.random.default_rng(seed), dataset.splits["train"].relevant
    rows = np.flatnonzero(rng.random(len(train)) < share)
    queries, documents = list(dataset.queries.texts), list(dataset.documents.texts)
    of_queries, of_documents = [""] * len(queries), [""] * len(documents)  # both have one, or nothing is masked
    added = []
    for row in rows.tolist():
        query, document = int(train.queries[row]), int(train.documents[row])
        added.append((len(queries), len(documents), 1.0))
        queries.append(_shortened(queries[query], rng))
        documents.append(_shortened(documents[document], rng))
        of_documents[document] = of_queries[query] = f"copies {document}"
        of_documents.append(of_documents[document])
        of_queries.append(of_documents[document])
    pairs = Pairs.joined([dataset.splits["train"], Pairs.of(added)])
    copied = replace(with_texts(dataset, queries, documents), splits={**dataset.splits, "train": pairs})
    return copied, replace(copied, queries=replace(copied.queries, groups=of_queries),
                           documents=replace(copied.documents, groups=of_documents))  # fmt: skip


def _shortened(text: str, rng: np.random.Generator) -> str:
    words = text.split()
    left_out = int(rng.integers(len(words))) if len(words) > 1 else -1
    return " ".join(word for number, word in enumerate(words) if number != left_out)


def with_texts(dataset: Dataset, queries: Sequence[str], documents: Sequence[str]) -> Dataset:
    """The data set with these texts; those beyond its own have new ids and no labels."""
    return replace(dataset, queries=_texts(dataset.queries, queries, "query"),
                   documents=_texts(dataset.documents, documents, "document"))  # fmt: skip


def _texts(old: Texts, texts: Sequence[str], kind: str) -> Texts:
    from nearfar.data.dataset import Texts

    return Texts([*old.ids, *(f"{kind} copy {number}" for number in range(len(old), len(texts)))], texts)
