"""Probes against vectors whose answer is known, and their metrics against counting."""

import math
from collections import Counter

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from nearfar.core.errors import BadInput
from nearfar.evaluate.probes import STRENGTH, classify, cluster
from nearfar.evaluate.statistics import interval


def clouds(count, spread, seed=0, kinds=4):
    """Unit vectors around one direction a label."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(kinds, size=count)
    vectors = np.eye(kinds, 8)[labels] + spread * rng.normal(size=(count, 8))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit.astype(np.float32), [f"label {label}" for label in labels]


def naive_macro_f1(truth, told):
    values = []
    for label in sorted({*truth, *told}):
        both = sum(a == b == label for a, b in zip(truth, told, strict=True))
        values.append(2 * both / (truth.count(label) + told.count(label)))
    return sum(values) / len(values)


def naive_v_measure(truth, found):
    """The harmonic mean of homogeneity and completeness, out of entropies (Rosenberg and Hirschberg, 2007)."""

    def entropy(values):
        return -sum(n / len(values) * math.log(n / len(values)) for n in Counter(values).values())

    together = entropy(list(zip(truth, found, strict=True)))
    mutual = entropy(truth) + entropy(found) - together
    return 2 * mutual / (entropy(truth) + entropy(found))


def test_classification_is_counted_right():
    train, test = clouds(200, 0.6), clouds(90, 0.6, seed=1)
    found = classify(train, test)
    told = LogisticRegression(C=STRENGTH, max_iter=1000).fit(*train).predict(test[0]).tolist()
    right = [a == b for a, b in zip(test[1], told, strict=True)]
    assert found.right.tolist() == right
    assert found.accuracy == pytest.approx(sum(right) / 90)
    assert found.macro_f1 == pytest.approx(naive_macro_f1(test[1], told))
    assert (found.low, found.high) == interval(found.right, seed=0, resamples=999)
    assert 0.5 < found.low < found.accuracy < found.high < 1
    assert (found.labels, found.trained_on) == (4, 200)


def test_a_label_that_was_not_learned_is_told_wrong():
    train, (vectors, labels) = clouds(100, 0.1), clouds(20, 0.1, seed=1)
    assert classify(train, (vectors, ["new", *labels[1:]])).accuracy == pytest.approx(0.95)


def test_clusters_of_what_lies_apart_are_the_labels():
    found = cluster(*clouds(120, 0.01), seeds=12)
    assert max(found.per_seed) == pytest.approx(1)
    assert found.v_measure == pytest.approx(np.mean(found.per_seed))
    assert (len(found.per_seed), found.labels, found.texts) == (12, 4, 120)


def test_v_measure_follows_its_definition():
    from nearfar.evaluate.probes import _clusters

    vectors, labels = clouds(120, 0.5)
    expected = [naive_v_measure(labels, _clusters(vectors, 4, seed).tolist()) for seed in range(2)]
    assert cluster(vectors, labels, seeds=2).per_seed == pytest.approx(expected)


def test_noise_has_no_clusters():
    vectors, labels = clouds(200, 0.1)
    shuffled = np.random.default_rng(0).permutation(labels).tolist()
    assert cluster(vectors, shuffled).v_measure < 0.1


@pytest.mark.parametrize("probe", [lambda v, names: classify((v, names), (v, names), where="set train"),
                                   lambda v, names: cluster(v, names, where="set train")])  # fmt: skip
def test_one_label_is_told(probe):
    vectors = clouds(20, 0.1)[0]
    with pytest.raises(BadInput, match=r"^set train: expected two or more labels, found 'a' alone; check "):
        probe(vectors, ["a"] * 20)


def test_nothing_to_test_on_is_told():
    with pytest.raises(BadInput, match="expected texts to test on, found none"):
        classify(clouds(20, 0.1), (np.empty((0, 8), np.float32), []))
