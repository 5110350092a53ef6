"""Metrics of the queries by their length, by the rarity of their words, and by their labels: where a system is weak."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nearfar.data.dataset import Dataset
from nearfar.evaluate.statistics import interval
from nearfar.pipeline.evaluate import Evaluation, texts_of
from nearfar.text.words import words

QUANTILES = (0.25, 0.5, 0.75)
RARITY = (1, 2, 11, 101)  # documents that hold the rarest word: lower ends of the slices after "none"
FEWEST = 5  # queries of a slice that is shown


@dataclass(frozen=True)
class Slice:
    """Some of the queries, and the mean of a metric over them with its 95 % interval."""

    by: str  # length, rarity, source or task
    name: str
    queries: int
    mean: float
    low: float
    high: float


def slices(dataset: Dataset, evaluation: Evaluation, metric: str) -> tuple[Slice, ...]:
    """Cut the evaluated queries in each way that leaves two slices or more; those of fewer than five are left out.

    By length in words (at the quartiles), by rarity (documents that hold the query's rarest word), and by the labels
    `source` and `task` where the data have them.
    """
    values = evaluation.per_query[metric]
    kinds = dict(_kinds(dataset, evaluation.queries))
    found = []
    for by, names in kinds.items():
        masks = {name: np.array([one == name for one in names]) for name in sorted(dict.fromkeys(names), key=_order)}
        kept = {name: mask for name, mask in masks.items() if mask.sum() >= FEWEST}
        if len(kept) > 1:
            found += [_slice(by, name, values[mask]) for name, mask in kept.items()]
    return tuple(found)


def _slice(by: str, name: str, values: NDArray[np.float64]) -> Slice:
    return Slice(by, name, len(values), float(values.mean()), *interval(values, seed=0, resamples=999))


def _kinds(dataset: Dataset, rows: NDArray[np.int32]) -> Iterator[tuple[str, list[str]]]:
    """Ways to cut the queries, and the name of each query's slice."""
    texts = texts_of(dataset.queries, rows)
    lengths = np.array([len(text.split()) for text in texts])
    yield "length", _between(lengths, np.unique(np.quantile(lengths, QUANTILES).round() + 1).astype(int), "words")
    yield "rarity", _between(_rarest(texts, dataset.documents.texts), np.array(RARITY), "documents")
    for label, values in dataset.queries.labels.items():
        if values and label != "group":
            yield label, [values[row] or "(none)" for row in rows]


def _rarest(queries: Sequence[str], documents: Sequence[str]) -> NDArray[np.int64]:
    """Documents that hold the rarest word of each query, of those that any document holds; 0 where there is none."""
    counts: dict[str, int] = {}
    for document in documents:
        for word in set(words(document)):
            counts[word] = counts.get(word, 0) + 1
    return np.array([min((counts[word] for word in words(query) if word in counts), default=0) for query in queries])


def _between(values: NDArray[np.int64], edges: NDArray[np.int64], unit: str) -> list[str]:
    """The name of each value's slice: "4 – 7 words"."""
    ends = [int(values.min()), *(int(edge) for edge in edges if values.min() < edge <= values.max())]
    names = [f"{low} – {high - 1} {unit}" if high - low > 1 else f"{low} {unit}"
             for low, high in pairwise(ends)]  # fmt: skip
    names.append(f"{ends[-1]} {unit} and more")
    names = ["1 " + unit.removesuffix("s") if name == f"1 {unit}" else name for name in names]
    return [names[place] for place in np.searchsorted(ends, values, "right") - 1]


def _order(name: str) -> tuple[int, str]:
    first = name.partition(" ")[0]
    return (int(first) if first.isdigit() else 0, name)
