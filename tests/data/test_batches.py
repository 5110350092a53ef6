"""Batches against plain loops over the pairs."""

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfar.core.errors import BadInput
from nearfar.core.targets import NO_GROUP
from nearfar.data.batches import batch_source
from nearfar.data.dataset import Dataset, Pairs, Texts
from nearfar.data.sampler import sampler


def dataset(train, *, dev=(), texts=(5, 6), groups=((), ()), queries=None, documents=None):
    named = [
        Texts([f"{kind}{i}" for i in range(n)], given or [f"{kind} text {i}" for i in range(n)], group)
        for kind, n, given, group in zip("qd", texts, (queries, documents), groups, strict=True)
    ]
    return Dataset("set", *named, {"train": Pairs.of(list(train)), "dev": Pairs.of(list(dev))})


@st.composite
def datasets(draw):
    """Few texts, so that many are the same: across ids, between queries and documents, within groups."""
    rows = st.tuples(st.integers(0, 4), st.integers(0, 5), st.sampled_from([1.0, 1.0, 0.0, -1.0]))
    words, entities = st.sampled_from("abcdefgh"), st.sampled_from(["", "", "x", "y"])
    return dataset(
        [(0, 0, 1.0), (1, 1, 1.0), *draw(st.lists(rows, max_size=12))],
        dev=draw(st.lists(rows, max_size=4)),
        queries=[draw(words) for _ in range(5)],
        documents=["first", "second", *(draw(words) for _ in range(4))],
        groups=([draw(entities) for _ in range(5)], [draw(entities) for _ in range(6)]),
    )


def facts(made, split, keep):
    """Set of (query text, document text) of the pairs of a split with `keep(score)`."""
    pairs = made.splits[split]
    rows = zip(pairs.queries, pairs.documents, pairs.scores, strict=True)
    return {(made.queries.texts[q], made.documents.texts[d]) for q, d, score in rows if keep(score)}


def first_groups(made):
    """Group of each text: the first one stated, queries before documents."""
    groups = {}
    for part in (made.queries, made.documents):
        for text, group in zip(part.texts, part.groups, strict=False):
            if group:
                groups.setdefault(text, group)
    return groups


@given(datasets(), st.integers(1, 6), st.integers(0, 2), st.integers(0, 99))
@settings(max_examples=150, deadline=None)
def test_targets_match_loops(made, size, hard, seed):
    source, groups = batch_source(made), first_groups(made)
    relevant = facts(made, "train", lambda score: score > 0)
    known = relevant | facts(made, "dev", lambda score: score > 0)
    negatives = facts(made, "train", lambda score: score <= 0)
    for pairs in sampler(source, size, seed).epoch(0):
        batch = source.batch(pairs, hard, (seed, 0))
        queries, documents = ([source.texts[i] for i in rows] for rows in (batch.queries, batch.documents))
        chosen = {(source.texts[source.queries[p]], source.texts[source.documents[p]]) for p in pairs}
        assert set(queries) == {q for q, _ in chosen}
        assert len(set(queries)) == len(queries)
        assert len(set(documents)) == len(documents)
        drawn = set(documents) - {d for _, d in chosen}
        assert drawn <= {d for q, d in negatives if q in queries}
        positive, ignored = batch.targets.positive_mask(), batch.targets.ignored_mask()
        for i, query in enumerate(queries):
            for j, document in enumerate(documents):
                same_group = query in groups and groups.get(query) == groups.get(document)
                assert positive[i, j] == ((query, document) in relevant)
                expected = not positive[i, j] and ((query, document) in known or query == document or same_group)
                assert ignored[i, j] == expected


@given(st.integers(2, 300), st.integers(2, 50), st.integers(0, 9), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_an_epoch_holds_each_pair_once_in_batches_of_nearly_one_size(pairs, size, seed, epoch):
    source = batch_source(dataset([(i, i, 1.0) for i in range(pairs)], texts=(pairs, pairs)))
    batches = sampler(source, size, seed).epoch(epoch)
    assert sorted(int(i) for batch in batches for i in batch) == list(range(pairs))
    sizes = [len(batch) for batch in batches]
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1
    assert len(batches) == -(-pairs // size)


def test_epochs_differ_and_come_again():
    source = batch_source(dataset([(i, i, 1.0) for i in range(50)], texts=(50, 50)))
    order = [np.concatenate(sampler(source, 8, 3).epoch(epoch)).tolist() for epoch in (0, 1, 0)]
    assert order[0] == order[2] != order[1]
    assert np.concatenate(sampler(source, 8, 4).epoch(0)).tolist() != order[0]


def test_pairs_of_the_same_texts_count_once():
    made = dataset(
        [(0, 0, 1.0), (1, 1, 1.0), (2, 2, 1.0)], texts=(3, 3), queries=["a", "a", "b"], documents=list("xxy")
    )
    assert len(batch_source(made)) == 2


def test_negatives_never_become_training_pairs():
    source = batch_source(dataset([(0, 0, 1.0), (0, 1, -1.0), (1, 2, 2.0), (1, 3, 0.0)]))
    assert {source.texts[i] for i in source.documents} == {"d text 0", "d text 2"}


def hard_source(negatives=20):
    train = [(0, 0, 1.0), (1, 1, 1.0), *((0, d, 0.0) for d in range(2, 2 + negatives))]
    return batch_source(dataset(train, texts=(2, 2 + negatives)))


@pytest.mark.parametrize(("asked", "given_"), [(0, 0), (1, 1), (7, 7), (20, 20), (50, 20)])
def test_hard_negatives_are_drawn_up_to_a_number(asked, given_):
    source = hard_source()
    batch = source.batch(np.arange(len(source)), asked, (1, 2, 3))
    assert len(batch.documents) == 2 + given_
    assert batch.targets.positive_mask().sum() == 2


def test_hard_negatives_follow_the_seed():
    source = hard_source()
    drawn = [source.batch(np.arange(2), 3, seed).documents.tolist() for seed in [(0, 1), (0, 1), (0, 2)]]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_text_without_group_is_in_none():
    source = batch_source(dataset([(0, 0, 1.0), (1, 1, 1.0)], texts=(2, 2), groups=(["g", ""], ["", "g"])))
    batch = source.batch(np.arange(2), 0, (0,))
    assert sorted(batch.targets.query_groups) == sorted(batch.targets.document_groups) == [NO_GROUP, 0]
    assert batch.targets.ignored_mask().sum() == 1


@pytest.mark.parametrize("train", [[], [(0, 0, 1.0)], [(0, 0, 1.0), (1, 0, 1.0)], [(0, 0, 1.0), (0, 1, 0.0)]])
def test_one_document_cannot_be_told_apart(train):
    with pytest.raises(BadInput, match=r"at least two different documents, found [01]; give more pairs"):
        batch_source(dataset(train))


def test_the_same_document_under_two_ids_is_one():
    with pytest.raises(BadInput, match="found 1"):
        batch_source(dataset([(0, 0, 1.0), (1, 1, 1.0)], texts=(2, 2), documents=["x", "x"]))


@pytest.mark.slow
def test_a_million_skewed_pairs_are_put_in_order_in_seconds():
    """Half of the pairs share a hundred documents, and a query has up to thousands of positives."""
    generator, count = np.random.default_rng(0), 1_000_000
    queries = generator.zipf(1.3, count) % 300_000
    documents = np.where(
        generator.random(count) < 0.5, generator.integers(0, 100, count), generator.integers(0, 400_000, count)
    )
    made = dataset([(0, 0, 1.0)], texts=(300_000, 400_000))
    pairs = Pairs(queries.astype(np.int32), documents.astype(np.int32), np.ones(count, np.float32))
    start = time.process_time()
    source = batch_source(replace(made, splits={"train": pairs}))
    batches = sampler(source, 512, 0).epoch(0)
    assert time.process_time() - start <= 5
    assert sum(map(len, batches)) == len(source)
    assert min(map(len, batches)) >= 256
    start = time.process_time()
    for part in batches[:50]:
        batch = source.batch(part, 0, (0,))
        assert batch.targets.positive_mask().any(axis=1).all()
    assert time.process_time() - start <= 5


def test_negatives_that_are_answers_are_dropped_and_counted():
    rows = [(0, 0, 1.0), (0, 2, 0.0), (0, 3, 0.0), (1, 1, 1.0), (1, 4, 0.0), (1, 5, 0.0)]
    made = dataset(
        rows,
        dev=[(0, 3, 1.0)],
        queries=["a", "b", "c", "d", "e"],
        documents=["x", "y", "x", "known", "b", "entity"],
        groups=(["", "g", "", "", ""], ["", "", "", "", "", "g"]),
    )
    source = batch_source(made)
    assert not len(source.negatives.values)
    assert source.notices == (
        "train: 3 negatives dropped: their text is that of a positive of the query, or its own",
        "train: 1 negatives dropped: they are of the query's group",
    )
    assert batch_source(dataset([(0, 0, 1.0), (1, 1, 1.0), (0, 2, 0.0)])).notices == ()


def test_near_duplicates_of_an_answer_are_no_negatives_when_asked_for():
    """One word of ten differs: Jaccard 9/11; two of ten: 8/12, which is another document."""
    ten = "one two three four five six seven eight nine"
    documents = [f"{ten} ten", f"{ten} zehn", "one two three four five six seven eight neun zehn", "another", ten]
    made = dataset([(0, 0, 1.0), (1, 1, 1.0), (2, 2, 1.0), (3, 3, 1.0), (0, 1, 0.0), (0, 3, 0.0)],
                   texts=(5, 5), documents=documents)  # fmt: skip
    plain, masking = batch_source(made), batch_source(made, mask_near_duplicates=True)
    text = {name: row for row, name in enumerate(masking.texts)}
    query, first, near, other = (text[name] for name in ("q text 0", *documents[:2], "another"))
    assert set(plain.negatives[query]) == {near, other}
    assert set(masking.negatives[query]) == {other}
    assert set(masking.known[query]) == {first, near}
    assert set(masking.known[text["q text 3"]]) == {other}
    assert set(masking.relevant[query]) == {first}  # it is not trained towards
    batch = masking.batch(np.arange(4), 0, (0,))
    row, column = batch.queries.tolist().index(query), batch.documents.tolist().index(near)
    assert column in batch.targets.known[row]
    assert column not in batch.targets.positives[row]
    assert any("near-duplicates" in notice for notice in masking.notices)
