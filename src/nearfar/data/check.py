"""What a data set holds, and what in it would spoil training or flatter an evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from nearfar.core.errors import excerpt
from nearfar.core.folding import folded, numbered
from nearfar.data.dataset import Dataset, Pairs, Texts

EXAMPLES = 5
PERCENTILES = (5, 50, 95, 100)
TOLERATED = 0.01  # share of texts or pairs below which a finding is no problem
COPY_CHARACTERS = 20  # shorter queries recur in documents by chance
SHARED_BY = 5  # queries a document from which sharing documents between splits is the nature of the task (intents)


@dataclass(frozen=True)
class Finding:
    """How often something was found, and the first examples."""

    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Counts:
    """Of a split, or of the queries with one label."""

    queries: int  # with at least one relevant document
    relevant: int
    negatives: int


@dataclass(frozen=True)
class Lengths:
    """Percentiles ("p5", "p50", …) of the lengths of texts."""

    words: Mapping[str, int]
    characters: Mapping[str, int]


@dataclass(frozen=True)
class DataReport:
    """Counts, lengths and findings of one data set; `dataclasses.asdict` makes it JSON."""

    name: str
    queries: int
    documents: int
    groups: int
    splits: Mapping[str, Counts]
    sources: Mapping[str, Counts]  # "" for the queries without, where others have one; empty where none has
    tasks: Mapping[str, Counts]
    query_lengths: Lengths
    document_lengths: Lengths
    most_positives: int  # of one query
    queries_per_document: float  # mean over the relevant documents
    duplicate_queries: Finding
    duplicate_documents: Finding
    leaked_queries: Finding  # in several splits, but for case and white space
    leaked_documents: Finding  # relevant in several splits
    copied_queries: Finding  # stand word for word in a relevant document
    unjudged_documents: Finding  # normal in a corpus: distractors

    @property
    def healthy(self) -> bool:
        """Whether there is no problem."""
        return not self.problems()

    def problems(self) -> list[str]:
        """One line for each finding that would spoil training or evaluation."""
        relevant = sum(counts.relevant for counts in self.splits.values())
        judged = (
            (self.leaked_queries, 0.0, "queries are in more than one split; keep each in one"),
            (self._document_leaks, 0.0, "relevant documents are in more than one split; split by document"),
            (self.duplicate_queries, TOLERATED * self.queries, "queries repeat the text of another; merge them"),
            (self.duplicate_documents, TOLERATED * self.documents, "documents repeat the text of another; merge them"),
            (
                self.copied_queries,
                TOLERATED * relevant,
                "queries are copied from their documents; a word search finds them",
            ),
        )
        return [
            f"{found.count:,} {what} ({found.examples[0]})"
            for found, tolerated, what in judged
            if found.count > tolerated
        ]

    @property
    def _document_leaks(self) -> Finding:
        return Finding(0, ()) if self.queries_per_document >= SHARED_BY else self.leaked_documents


def check(dataset: Dataset) -> DataReport:
    """Look at every text and every judged pair of `dataset` once."""
    folds = _Folds(dataset)
    relevant = Pairs.joined(dataset.splits.values()).relevant
    return DataReport(
        name=dataset.name,
        queries=len(dataset.queries),
        documents=len(dataset.documents),
        groups=len({*dataset.queries.groups, *dataset.documents.groups} - {""}),
        splits={split: _counts(pairs) for split, pairs in dataset.splits.items()},
        sources=_counts_by(dataset, dataset.queries.sources),
        tasks=_counts_by(dataset, dataset.queries.tasks),
        query_lengths=_lengths(dataset.queries.texts),
        document_lengths=_lengths(dataset.documents.texts),
        most_positives=int(np.bincount(relevant.queries, minlength=1).max()),
        queries_per_document=len(relevant) / max(1, len(np.unique(relevant.documents))),
        duplicate_queries=_duplicates(dataset.queries, folds.queries),
        duplicate_documents=_duplicates(dataset.documents, folds.documents),
        leaked_queries=_leaks(
            {s: folds.queries[p.relevant.queries] for s, p in dataset.splits.items()}, folds.query_texts
        ),
        leaked_documents=_leaks(
            {s: folds.documents[p.relevant.documents] for s, p in dataset.splits.items()}, folds.document_texts
        ),
        copied_queries=_finding(_copies(dataset, relevant)),
        unjudged_documents=_unjudged(dataset),
    )


def leaked_queries(dataset: Dataset) -> tuple[str, ...]:
    """Texts of all queries that are in more than one split, but for case and white space."""
    numbers = numbered(map(folded, dataset.queries.texts))
    texts = dict(zip(numbers.tolist(), dataset.queries.texts, strict=True))
    sides = [np.unique(numbers[pairs.relevant.queries]) for pairs in dataset.splits.values()]
    found, splits = np.unique(np.concatenate([*sides, numbers[:0]]), return_counts=True)
    return tuple(texts[number] for number in found[splits > 1].tolist())


class _Folds:
    """A number for each text: queries but for case and white space, documents to the letter."""

    def __init__(self, dataset: Dataset) -> None:
        self.queries = numbered(map(folded, dataset.queries.texts))
        self.documents = numbered(dataset.documents.texts)
        self.query_texts = dict(zip(self.queries.tolist(), dataset.queries.texts, strict=True))
        self.document_texts = dict(zip(self.documents.tolist(), dataset.documents.texts, strict=True))


def _finding(examples: Iterable[str]) -> Finding:
    every = list(examples)
    return Finding(len(every), tuple(every[:EXAMPLES]))


def _counts(pairs: Pairs) -> Counts:
    relevant = pairs.relevant
    return Counts(len(np.unique(relevant.queries)), len(relevant), len(pairs) - len(relevant))


def _counts_by(dataset: Dataset, labels: Sequence[str]) -> dict[str, Counts]:
    """Counts over all splits by the label of the query, the most relevant pairs first."""
    if not labels:
        return {}
    pairs = Pairs.joined(dataset.splits.values())
    numbers = numbered(labels)
    counts = {label: _counts(pairs.where(numbers[pairs.queries] == i)) for i, label in enumerate(dict.fromkeys(labels))}
    return dict(sorted(counts.items(), key=lambda item: -item[1].relevant))


def _lengths(texts: Sequence[str]) -> Lengths:
    return Lengths(_percentiles([len(text.split()) for text in texts]), _percentiles([len(text) for text in texts]))


def _percentiles(lengths: list[int]) -> dict[str, int]:
    values = np.percentile(lengths or [0], PERCENTILES)
    return {f"p{percent}": round(float(value)) for percent, value in zip(PERCENTILES, values, strict=True)}


def _duplicates(texts: Texts, numbers: NDArray[np.int64]) -> Finding:
    _, first = np.unique(numbers, return_index=True)
    repeated = np.ones(len(numbers), np.bool_)
    repeated[first] = False
    return _finding(f"{texts.ids[row]}: {excerpt(texts.texts[row])}" for row in np.flatnonzero(repeated).tolist())


def _leaks(numbers: Mapping[str, NDArray[np.int64]], texts: Mapping[int, str]) -> Finding:
    shared: dict[int, str] = {}
    for one, other in combinations(numbers, 2):
        for number in np.intersect1d(numbers[one], numbers[other]).tolist():
            shared.setdefault(number, f"{one} and {other}: {excerpt(texts[number])}")
    return _finding(shared.values())


def _copies(dataset: Dataset, relevant: Pairs) -> Iterator[str]:
    order = np.argsort(relevant.documents, kind="stable")  # fold each document once, and hold one at a time
    last, text = -1, ""
    for query, document in zip(relevant.queries[order].tolist(), relevant.documents[order].tolist(), strict=True):
        if document != last:
            last, text = document, folded(dataset.documents.texts[document])
        asked = folded(dataset.queries.texts[query])
        if len(asked) >= COPY_CHARACTERS and asked in text:
            yield f"{dataset.queries.ids[query]}: {excerpt(dataset.queries.texts[query])}"


def _unjudged(dataset: Dataset) -> Finding:
    judged = np.zeros(len(dataset.documents), np.bool_)
    for pairs in dataset.splits.values():
        judged[pairs.documents] = True
    return _finding(dataset.documents.ids[row] for row in np.flatnonzero(~judged).tolist())
