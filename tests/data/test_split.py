"""Splits that leak nothing, whatever the links between the pairs."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.errors import BadInput
from nearfar.core.folding import folded
from nearfar.data.config import DataConfig
from nearfar.data.dataset import Pairs
from nearfar.data.read import from_records
from nearfar.data.split import ensure_splits

CONFIG = DataConfig()
ROW = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 30), st.booleans())


def dataset_of(rows):
    records = [
        {
            "query": f"{'Q' if upper else 'q'}  {query}",
            "positive": f"d{document}",
            "group": f"g{group}" if group > 10 else "",
        }
        for query, document, group, upper in rows
    ]
    return from_records(records)


def one_to_one(count):
    return from_records([(f"q{i}", f"d{i}") for i in range(count)])


def contents(dataset, split):
    """Folded query texts, document texts and groups of the relevant pairs of a split."""
    pairs = dataset.splits[split].relevant
    queries, documents = set(pairs.queries.tolist()), set(pairs.documents.tolist())
    groups = {dataset.queries.groups[q] for q in queries} if dataset.queries.groups else set()
    groups |= {dataset.documents.groups[d] for d in documents} if dataset.documents.groups else set()
    texts = {folded(dataset.queries.texts[q]) for q in queries}
    return texts, {dataset.documents.texts[d] for d in documents}, groups - {""}


def shared(dataset, part):
    train, dev, test = (contents(dataset, split)[part] for split in ("train", "dev", "test"))
    return (train & dev) | (train & test) | (dev & test)


@given(st.lists(ROW, min_size=40, max_size=80), st.integers(0, 5))
def test_nothing_leaks(rows, seed):
    dataset = dataset_of(rows)
    before = dataset.splits["train"]
    if len({folded(text) for text in dataset.queries.texts}) < 10:
        return
    made = ensure_splits(dataset, DataConfig(seed=seed))
    assert list(made.splits) == ["train", "dev", "test"]
    assert sum(map(len, made.splits.values())) == len(before)
    assert all(len(pairs.relevant) for pairs in made.splits.values())
    assert not shared(made, 0)
    if "by query only" not in made.notices[-1]:
        assert not shared(made, 1)
        assert not shared(made, 2)


def test_the_sizes_are_those_asked_for():
    made = ensure_splits(one_to_one(200), DataConfig(dev_fraction=0.05, test_fraction=0.2))
    assert {split: len(pairs) for split, pairs in made.splits.items()} == {"train": 150, "dev": 10, "test": 40}
    assert made.notices[-1].startswith("made dev (10 queries) and test (40 queries) out of train with seed 0: no query")


def test_the_same_seed_gives_the_same_splits():
    first, again, other = (ensure_splits(one_to_one(100), DataConfig(seed=seed)) for seed in (1, 1, 2))
    assert np.array_equal(first.splits["test"].queries, again.splits["test"].queries)
    assert not np.array_equal(first.splits["test"].queries, other.splits["test"].queries)


def test_few_documents_are_split_by_query_and_that_is_said():
    dataset = from_records([(f"q{i}", f"intent {i % 5}") for i in range(100)])
    # five sets of linked pairs are enough for three splits
    assert "no query" in ensure_splits(dataset, CONFIG).notices[-1]
    welded = from_records([*((f"q{i}", f"intent {i % 2}") for i in range(100)), ("q0", "intent 1")])
    made = ensure_splits(welded, CONFIG)
    assert "by query only" in made.notices[-1]
    assert not shared(made, 0)


def test_negatives_follow_their_query_and_link_nothing():
    dataset = from_records([(f"q{i}", f"d{i}", "the same negative") for i in range(50)])
    made = ensure_splits(dataset, CONFIG)
    assert "no query, relevant document" in made.notices[-1]
    assert all(len(pairs) == 2 * len(pairs.relevant) for pairs in made.splits.values())


@pytest.mark.parametrize("given_split", ["dev", "test"])
def test_a_split_that_is_there_stays(given_split):
    dataset = one_to_one(60)
    pairs = dataset.splits["train"]
    own = pairs.where(pairs.queries < 20)
    made = ensure_splits(replace(dataset, splits={"train": pairs.where(pairs.queries >= 20), given_split: own}), CONFIG)
    assert made.splits[given_split] is own
    assert list(made.splits) == ["train", "dev", "test"]
    assert len(made.splits["train"]) == 36


def test_complete_sets_are_left_alone():
    made = ensure_splits(one_to_one(30), CONFIG)
    assert ensure_splits(made, CONFIG) is made


def test_too_few_queries_are_refused():
    with pytest.raises(
        BadInput, match=r"^records: expected at least 10 queries .* dev and test .*, found 9; give more"
    ):
        ensure_splits(one_to_one(9), CONFIG)
    assert all(len(pairs) for pairs in ensure_splits(one_to_one(10), CONFIG).splits.values())


def test_a_set_without_train_is_refused():
    dataset = one_to_one(30)
    with pytest.raises(BadInput, match="expected a train split, found test; "):
        ensure_splits(replace(dataset, splits={"test": dataset.splits["train"]}), CONFIG)


def test_every_split_gets_a_part_however_uneven_the_links():
    # three linked sets of 1, 1 and 8 queries: dev has room for both small ones, and must leave one to test
    rows = [(f"q{i}", f"d{min(i, 2)}") for i in range(10)]
    rows += [(f"q{i}", f"more {i} {j}") for i in (0, 1) for j in range(8)]
    made = ensure_splits(from_records(rows), DataConfig(dev_fraction=0.2, test_fraction=0.2))
    assert "no query" in made.notices[-1]
    assert [len(np.unique(pairs.queries)) for pairs in made.splits.values()] == [8, 1, 1]


def test_queries_that_differ_in_case_alone_are_one():
    with pytest.raises(BadInput, match="found 1;"):
        ensure_splits(from_records([("q" + " " * i, f"d{i}") for i in range(1, 20)]), CONFIG)


def test_leaks_are_dropped_when_asked_for():
    rows = [{"query": f"question {i}", "positive": f"answer {i}", "split": "train"} for i in range(20)]
    made = ensure_splits(from_records(rows), DataConfig())
    dev = made.splits["dev"]
    leaked = replace(made, splits={**made.splits, "train": Pairs.joined([made.splits["train"], dev])})
    assert ensure_splits(leaked, DataConfig()) is leaked
    dropped = ensure_splits(leaked, DataConfig(drop_leaked=True))
    assert np.array_equal(dropped.splits["train"].queries, made.splits["train"].queries)
    assert dropped.splits["dev"] is dev
    assert dropped.notices[-1] == f"train: dropped {len(dev)} queries that are in another split"
    assert ensure_splits(dropped, DataConfig(drop_leaked=True)) is dropped
