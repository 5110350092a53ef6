"""Make the splits a data set lacks, so that nothing a model was trained on is asked of it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from nearfar.core.errors import BadInput
from nearfar.core.folding import folded, numbered
from nearfar.data.config import DataConfig
from nearfar.data.dataset import SPLITS, Dataset, Pairs, Texts
from nearfar.data.folder import in_order

QUERIES_NEEDED = 10
KEPT = "train"


def ensure_splits(dataset: Dataset, config: DataConfig) -> Dataset:
    """Add dev and test, where missing, out of train, and drop leaks when asked to; says so in the notices.

    Raises:
        BadInput: there is no train split, or it has fewer than 10 queries with a relevant document.
    """
    fractions = {"dev": config.dev_fraction, "test": config.test_fraction}
    missing = {split: fractions[split] for split in SPLITS if split != KEPT and split not in dataset.splits}
    if KEPT not in dataset.splits:
        found = " and ".join(dataset.splits) or "none"
        raise BadInput.at(dataset.name, expected="a train split", found=found, do="name the one to learn from 'train'")
    if missing:
        queries = _different_queries(dataset)
        if queries < QUERIES_NEEDED:
            raise _too_few(dataset.name, queries, missing)
        sizes = {split: max(1, round(share * queries)) for split, share in missing.items()}
        dataset = partition(dataset, sizes, config.seed)
    return without_leaks(dataset) if config.drop_leaked else dataset


def without_leaks(dataset: Dataset) -> Dataset:
    """The data set without the training queries that another split has, but for case and white space."""
    numbers = numbered(map(folded, dataset.queries.texts))
    train = dataset.splits[KEPT]
    others = [numbers[pairs.queries] for split, pairs in dataset.splits.items() if split != KEPT]
    leaked = np.isin(numbers[train.queries], np.concatenate([*others, numbers[:0]]))
    if not leaked.any():
        return dataset
    count = len(np.unique(train.queries[leaked]))
    notice = f"train: dropped {count:,} queries that are in another split"
    return replace(dataset, splits={**dataset.splits, KEPT: train.where(~leaked)}, notices=(*dataset.notices, notice))


def _different_queries(dataset: Dataset) -> int:
    rows = np.unique(dataset.splits[KEPT].relevant.queries).tolist()
    return len({folded(dataset.queries.texts[row]) for row in rows})


def partition(dataset: Dataset, sizes: Mapping[str, int], seed: int) -> Dataset:
    """Move about `sizes` queries of train into new splits, linked queries and documents always together.

    Queries are linked when their texts are equal (but for case and white space), when they share a relevant document
    (by text), or a group; a set of linked ones goes into one split as a whole.
    """
    pairs = dataset.splits[KEPT]
    units, note = _units(dataset, pairs.relevant, len(sizes) + 1)
    place = _assign(units, pairs.relevant, sizes, seed)
    made = {split: pairs.where(place[pairs.queries] == number) for number, split in enumerate((KEPT, *sizes))}
    return replace(
        dataset,
        splits=in_order(dict(dataset.splits) | made),
        notices=(*dataset.notices, _said(made, sizes, seed, note)),
    )


@dataclass(frozen=True)
class _Units:
    """What is split: each query belongs to one unit of linked queries."""

    of_query: NDArray[np.int64]  # (Q,)
    count: int

    def pairs(self, pairs: Pairs) -> NDArray[np.int64]:
        """Number of pairs in each unit, (count,)."""
        return np.bincount(self.of_query[pairs.queries], minlength=self.count)

    def queries(self, pairs: Pairs) -> NDArray[np.int64]:
        """Number of queries in each unit, (count,)."""
        return np.bincount(self.of_query[np.unique(pairs.queries)], minlength=self.count)


def _units(dataset: Dataset, relevant: Pairs, parts: int) -> tuple[_Units, str]:
    linked = _linked(dataset, relevant)
    sizes = linked.pairs(relevant)
    largest = sizes.max(initial=0) / max(1, len(relevant))
    if largest <= 0.5 and (sizes > 0).sum() >= parts:
        return linked, "no query, relevant document or group is in two of them"
    texts = numbered(map(folded, dataset.queries.texts))
    note = f"by query only, documents recur: {largest:.0%} of the pairs are linked by documents or groups they share"
    return _Units(texts, int(texts.max(initial=-1)) + 1), note


def _linked(dataset: Dataset, relevant: Pairs) -> _Units:
    """Connected components of query texts, relevant document texts and groups."""
    queries = numbered(map(folded, dataset.queries.texts))
    documents = numbered(dataset.documents.texts) + len(queries)
    edges = [(queries[relevant.queries], documents[relevant.documents])]
    first_group = len(queries) + len(documents)
    groups = numbered((*_groups(dataset.queries), *_groups(dataset.documents))) + first_group
    nodes = np.concatenate([queries, documents])
    used = np.zeros(len(nodes), np.bool_)
    used[relevant.queries] = used[relevant.documents + len(queries)] = True
    used &= np.array([bool(group) for group in (*_groups(dataset.queries), *_groups(dataset.documents))])
    edges.append((nodes[used], groups[used]))
    start, stop = (np.concatenate(ends) for ends in zip(*edges, strict=True))
    size = first_group + len(nodes)
    graph = coo_array((np.ones(len(start), np.int8), (start, stop)), shape=(size, size))
    count, labels = connected_components(graph, directed=False)
    return _Units(labels[queries].astype(np.int64), int(count))


def _groups(texts: Texts) -> list[str]:
    return list(texts.groups) or [""] * len(texts)


def _assign(units: _Units, relevant: Pairs, sizes: Mapping[str, int], seed: int) -> NDArray[np.int64]:
    """Number of the split of each query, (Q,): 0 stays in train, 1… in the order of `sizes`."""
    weights = units.queries(relevant)
    order = np.random.default_rng(seed).permutation(np.flatnonzero(weights))
    place = np.zeros(units.count, np.int64)
    for number, wanted in enumerate(sizes.values(), 1):
        free = order[place[order] == 0]
        others = len(sizes) - number + 1  # splits still to come, and train: a unit for each at least
        place[_fill(free, weights[free], wanted, len(free) - others)] = number
    return place[units.of_query]


def _fill(units: NDArray[np.int64], weights: NDArray[np.int64], wanted: int, most: int) -> list[int]:
    """At most `most` units, in their order, that fit into `wanted` queries; the smallest one when none fits."""
    chosen: list[int] = []
    room = wanted
    for unit, weight in zip(units.tolist(), weights.tolist(), strict=True):
        if weight <= room and len(chosen) < most:
            chosen.append(unit)
            room -= weight
    return chosen or [int(units[np.argmin(weights)])]


def _said(made: Mapping[str, Pairs], sizes: Mapping[str, int], seed: int, note: str) -> str:
    counts = " and ".join(f"{split} ({len(np.unique(made[split].relevant.queries)):,} queries)" for split in sizes)
    return f"made {counts} out of train with seed {seed}: {note}"


def _too_few(name: str, queries: int, missing: Mapping[str, float]) -> BadInput:
    return BadInput.at(
        name,
        expected=f"at least {QUERIES_NEEDED} queries with a relevant document to make {' and '.join(missing)} from",
        found=f"{queries}",
        do="give more pairs, or dev and test files of your own",
    )
