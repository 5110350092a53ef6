"""Batches of one source each, mixed as asked, against counting by hand."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfar.core.errors import BadInput
from nearfar.data.batches import batch_source
from nearfar.data.read import from_records
from nearfar.data.sampler import MixingConfig, sampler


def labelled(**sizes):
    """Pairs of different texts, so many of each source; "none" has no label."""
    rows = [
        {"query": f"{name} q{i}", "positive": f"{name} d{i}", "source": "" if name == "none" else name}
        for name, size in sizes.items()
        for i in range(size)
    ]
    return batch_source(from_records(rows))


def source_of(source, pairs):
    return {source.texts[source.queries[pair]].split()[0] for pair in pairs}


def counts(batches):
    return Counter(int(pair) for batch in batches for pair in batch)


@given(st.lists(st.integers(1, 80), min_size=1, max_size=5), st.integers(2, 30), st.integers(0, 9), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_without_weights_an_epoch_takes_each_pair_once_in_batches_of_one_source(sizes, size, seed, epoch):
    source = labelled(**{f"s{i}": n for i, n in enumerate([*sizes, 2])})
    made = sampler(source, size, seed, by="source")
    batches = made.epoch(epoch)
    assert counts(batches) == Counter(range(len(source)))
    assert len(batches) == len(made) == sum(-(-n // size) for n in [*sizes, 2])
    for batch in batches:
        (name,) = source_of(source, batch)
        count = [*sizes, 2][int(name[1:])]
        assert 2 * len(batch) >= min(size, 2 * count)


def test_batches_may_go_by_task_and_unlabelled_pairs_stay_together():
    rows = [{"query": f"q{i}", "positive": f"d{i}", "task": ("qa", "", "nli")[i % 3]} for i in range(60)]
    source = batch_source(from_records(rows))
    for batch in sampler(source, 8, 0, by="task").epoch(0):
        assert len({int(source.texts[source.queries[pair]][1:]) % 3 for pair in batch}) == 1


def shares(source, made, epochs=1):
    taken = Counter()
    for epoch in range(epochs):
        for batch in made.epoch(epoch):
            (name,) = source_of(source, batch)
            taken[name] += 1
    return {name: count / sum(taken.values()) for name, count in taken.items()}


def test_weights_set_the_share_of_the_batches():
    source = labelled(big=900, mid=90, small=10)
    made = sampler(source, 10, 0, by="source", mixing=MixingConfig(weights={"big": 2, "mid": 1, "small": 1}))
    assert len(made) == 100
    assert shares(source, made) == {"big": 0.5, "mid": 0.25, "small": 0.25}
    said = list(made.notices())
    assert "big: 50 batches an epoch, its 900 pairs are taken 0.56 times" in said
    assert "small: 25 batches an epoch, its 10 pairs are taken 25.00 times" in said


@pytest.mark.parametrize("temperature", [1, 2, 5, 1e9])
def test_the_temperature_evens_the_sources_out(temperature):
    sizes = {"big": 6400, "mid": 1600, "small": 400}
    source = labelled(**sizes)
    made = sampler(source, 10, 0, by="source", mixing=MixingConfig(temperature=temperature))
    wanted = {name: size ** (1 / temperature) for name, size in sizes.items()}
    for name, share in shares(source, made).items():
        assert share == pytest.approx(wanted[name] / sum(wanted.values()), abs=1 / len(made))


def test_no_pair_comes_again_before_all_came():
    source = labelled(big=300, small=7)
    made = sampler(source, 10, 3, by="source", mixing=MixingConfig(temperature=3))
    taken = Counter()
    for epoch in range(9):
        taken += counts(made.epoch(epoch))
        for name in ("big", "small"):
            times = [taken[i] for i in range(len(source)) if source_of(source, [i]) == {name}]
            assert max(times) - min(times) <= 1
    assert min(taken.values()) >= 1


def test_every_source_has_a_batch_however_small_its_weight():
    source = labelled(big=900, small=10)
    made = sampler(source, 10, 0, by="source", mixing=MixingConfig(weights={"big": 1, "small": 1e-9}))
    assert shares(source, made)["small"] > 0


@pytest.mark.parametrize("mixing", [MixingConfig(), MixingConfig(temperature=2)])
def test_an_epoch_depends_on_its_number_and_the_seed_alone(mixing):
    source = labelled(a=100, b=30)
    made, again = (sampler(source, 8, 5, by="source", mixing=mixing) for _ in range(2))
    backwards = {epoch: again.epoch(epoch) for epoch in (2, 1, 0)}
    for epoch in range(3):
        assert all(np.array_equal(a, b) for a, b in zip(made.epoch(epoch), backwards[epoch], strict=True))
    assert not np.array_equal(made.epoch(0)[0], made.epoch(1)[0])
    other = replace(made, seed=6)
    assert not np.array_equal(made.epoch(0)[0], other.epoch(0)[0])


def test_small_sources_are_said():
    source = labelled(big=100, small=7)
    said = list(sampler(source, 20, 0, by="source").notices())
    assert said == ["small: 7 pairs are less than half a batch; its batches are that small"]


def test_pairs_that_share_a_text_are_spread():
    """Forty pairs of ten documents and 160 of their own, in eight batches: none has a document twice."""
    rows = [(f"q{i}", f"shared {i % 10}") for i in range(40)] + [(f"r{i}", f"own {i}") for i in range(160)]
    source = batch_source(from_records(rows))
    for epoch in range(5):
        for batch in sampler(source, 25, 0).epoch(epoch):
            assert len(set(source.documents[batch])) == len(batch) == 25


@pytest.mark.parametrize(
    ("by", "mixing", "words"),
    [
        ("task", {}, "train.batch_by: expected a task in the data, found none; add a column 'task'"),
        ("none", {"temperature": 2}, "train.mixing: expected train.batch_by to say what is mixed"),
        ("source", {"weights": {"a": 1, "c": 1}}, "found 'c'; choose one of: a, b"),
        ("source", {"weights": {"a": 1}}, "expected a weight for every source, found none for b; add it"),
        ("source", {"weights": {"a": 1, "b": 0}}, "expected weights above 0, found 0 for b"),
        ("source", {"weights": {"a": float("nan"), "b": 1}}, "expected weights above 0, found nan for a"),
    ],
)
def test_what_cannot_be_mixed_is_refused(by, mixing, words):
    with pytest.raises(BadInput) as caught:
        sampler(labelled(a=5, b=5), 4, 0, by=by, mixing=MixingConfig(**mixing))
    assert words in str(caught.value)


def test_near_documents_are_batched_together():
    """Every pair once, in batches of even size, and of a cluster in as few batches as its size and place allow."""
    records = [{"query": f"q{i}", "positive": f"d{i}"} for i in range(200)]
    source = replace(batch_source(from_records(records)), near=np.arange(200) % 10)
    made = sampler(source, 32, seed=3, by="near")
    epochs = [made.epoch(number) for number in (0, 1)]
    for batches in epochs:
        assert sorted(np.concatenate(batches).tolist()) == list(range(200))
        assert {len(batch) for batch in batches} <= {28, 29}
        assert all(sum(cluster in source.near[batch] for batch in batches) <= 2 for cluster in range(10))
    together = [{frozenset(np.unique(source.near[batch]).tolist()) for batch in batches} for batches in epochs]
    assert together[0] != together[1]  # other neighbours in each epoch
