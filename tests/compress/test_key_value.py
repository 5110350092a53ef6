"""Values of frozen keys: where they start, what pairs change, and what they leave as it was."""

from dataclasses import replace

import numpy as np
import pytest

from nearfar.compress.codec import Sample
from nearfar.compress.learn.key_value import start, taught
from nearfar.compress.registry import fit
from nearfar.core.ragged import Ragged

D, SIZE = 24, 4


def clustered(count, seed=0):
    """Unit vectors around forty places."""
    rng = np.random.default_rng(seed)
    places = np.random.default_rng(9).normal(size=(40, D))
    vectors = places[rng.integers(40, size=count)] + 0.5 * rng.normal(size=(count, D))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def pairs(documents):
    """A query near each document."""
    noise = 0.05 * np.random.default_rng(4).normal(size=documents.shape)
    return Sample(
        documents, (documents + noise).astype(np.float32), Ragged.of([[row] for row in range(len(documents))])
    )


DOCUMENTS = clustered(1500)
FIRST = pairs(DOCUMENTS)


@pytest.fixture(scope="module")
def codec():
    return fit("key_value", FIRST, SIZE)


def test_values_start_as_what_the_keys_stand_for():
    begun, opq = start(FIRST, SIZE), fit("opq", FIRST, SIZE)
    codes = begun.encode(DOCUMENTS)
    np.testing.assert_array_equal(codes, opq.encode(DOCUMENTS))
    np.testing.assert_allclose(begun.decode(codes), opq.decode(codes), atol=1e-5)


def test_learning_changes_values_and_no_code(codec):
    begun = start(FIRST, SIZE)
    np.testing.assert_array_equal(codec.encode(DOCUMENTS), begun.encode(DOCUMENTS))
    assert not np.array_equal(codec.values, begun.values)


def test_pairs_of_some_documents_change_the_values_that_these_use_and_no_others(codec):
    some = DOCUMENTS[:12]
    after = taught(codec, pairs(some))
    used = np.zeros(codec.values.shape[:2], bool)
    for code in codec.encode(some):
        used[np.arange(SIZE), code] = True
    changed = (after.values != codec.values).any(axis=2)
    assert 0 < used.sum() < used.size / 4
    np.testing.assert_array_equal(changed, used)
    np.testing.assert_array_equal(after.encode(DOCUMENTS), codec.encode(DOCUMENTS))
    apart = ~used[np.arange(SIZE), codec.encode(DOCUMENTS)].any(axis=1)  # documents that share no key with these
    assert apart.any()
    np.testing.assert_array_equal(
        after.decode(after.encode(DOCUMENTS[apart])), codec.decode(codec.encode(DOCUMENTS[apart]))
    )


def test_queries_without_an_answer_teach_nothing(codec):
    bare = Ragged.of([[row] if row % 2 else [] for row in range(40)])
    some = replace(pairs(DOCUMENTS[:40]), positives=bare)
    answered = Sample(some.vectors, some.queries[1::2], Ragged.of([[row] for row in range(1, 40, 2)]))
    np.testing.assert_array_equal(taught(codec, some).values, taught(codec, answered).values)


def test_values_that_learnt_find_more_neighbours_than_the_keys(codec):
    asked = clustered(200, seed=5)
    assert overlap(codec, asked) > overlap(start(FIRST, SIZE), asked) + 0.02


def overlap(codec, queries):
    """Share of the ten nearest documents that are among the ten by codes."""
    full = np.argsort(-(queries @ DOCUMENTS.T), axis=1)[:, :10]
    coded = np.argsort(-codec.score(queries, codec.encode(DOCUMENTS)), axis=1)[:, :10]
    return np.mean([len(set(a) & set(b)) / 10 for a, b in zip(full.tolist(), coded.tolist(), strict=True)])
