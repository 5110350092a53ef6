"""Correlations against their definitions, worked out pair by pair."""

import math

import numpy as np
import pytest

from nearfar.core.errors import BadInput
from nearfar.evaluate.correlation import correlate, correlation_difference


def drawn(count=60, noise=0.8, seed=0):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 6, count).astype(float)  # with ties, as people give them
    return scores + noise * rng.normal(size=count), scores


def naive_pearson(x, y):
    a, b = [value - sum(x) / len(x) for value in x], [value - sum(y) / len(y) for value in y]
    products = sum(first * second for first, second in zip(a, b, strict=True))
    return products / math.sqrt(sum(v * v for v in a) * sum(v * v for v in b))


def naive_ranks(values):
    return [sum(other < value for other in values) + (1 + sum(other == value for other in values)) / 2
            for value in values]  # fmt: skip


def naive_spearman(x, y):
    return naive_pearson(naive_ranks(x), naive_ranks(y))


def test_both_correlations_follow_their_definitions():
    x, y = drawn()
    found = correlate(x, y, seed=0)
    assert found.spearman == pytest.approx(naive_spearman(x, y))
    assert found.pearson == pytest.approx(naive_pearson(x, y))
    assert found.pairs == 60


def test_the_interval_is_that_of_a_plain_bootstrap():
    x, y = drawn()
    found = correlate(x, y, seed=0)
    rng = np.random.default_rng(1)
    values = [naive_spearman(x[rows], y[rows]) for rows in rng.integers(60, size=(400, 60))]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(values, (0.025, 0.975))), abs=0.03)
    assert found.low < found.spearman < found.high


def test_the_same_seed_gives_the_same_interval():
    assert correlate(*drawn(), seed=3) == correlate(*drawn(), seed=3)


def test_a_score_that_most_samples_miss_leaves_an_interval():
    scores = np.array([1.0] + [0.0] * 11)
    found = correlate(np.linspace(1, 0, 12), scores, seed=0)
    assert np.isfinite([found.low, found.high]).all()


def test_the_difference_is_that_of_the_same_pairs():
    (near, scores), (far, _) = drawn(noise=0.5), drawn(noise=3, seed=1)
    far = scores + (far - drawn(noise=0, seed=1)[1])
    found = correlation_difference(near, far, scores, seed=0)
    assert found.difference == pytest.approx(naive_spearman(near, scores) - naive_spearman(far, scores))
    assert 0 < found.low < found.difference < found.high
    same = correlation_difference(near, near, scores, seed=0)
    assert (same.difference, same.low, same.high) == (0, 0, 0)


def changed(index, value):
    x, y = drawn()
    columns = [x.copy(), y.copy()]
    columns[index][0] = value
    return columns


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (drawn(9), "set test: expected at least 10 pairs with a score, found 9; give more"),
        ((drawn()[0], np.full(60, 3.0)), "set test: expected scores that differ, found 3 60 times; "),
        ((np.zeros(60), drawn()[1]), "set test: expected similarities that differ, found 0 60 times; "),
        ((drawn()[0], drawn(61)[1]), r"found arrays of shape \(60,\) and \(61,\)"),
        (changed(0, np.nan), "expected finite similarities"),
        (changed(1, np.inf), "expected finite scores"),
    ],
)
def test_what_has_no_correlation_is_told(columns, message):
    with pytest.raises(BadInput, match=message):
        correlate(*columns, seed=0, where="set test")
