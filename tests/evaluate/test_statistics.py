"""Paired statistics against scipy's own tests, against full enumeration and on data that varies not at all."""

import itertools
import time

import numpy as np
import pytest
from scipy import stats

from nearfar.core.errors import BadInput
from nearfar.evaluate.statistics import Comparison, Share, compare, detectable, holm, interval, share, verdict


def pair(queries, gain, seed=0):
    rng = np.random.default_rng(seed)
    base = rng.random(queries)
    return base + gain + 0.2 * rng.standard_normal(queries), base


def test_p_value_is_that_of_all_sign_choices():
    a, b = pair(12, 0.1)
    difference = a - b
    signs = np.array(list(itertools.product([-1, 1], repeat=12)))
    exact = np.mean(np.abs(signs @ difference) >= abs(difference.sum()) - 1e-12)
    assert compare(a, b, seed=1, resamples=99_999).p_value == pytest.approx(exact, abs=0.006)


@pytest.mark.parametrize("gain", [0.0, 0.01, 0.02])
def test_agrees_with_scipy(gain):
    a, b = pair(300, gain)
    theirs = stats.permutation_test((a - b,), np.mean, permutation_type="samples", vectorized=True,
                                    n_resamples=9999, rng=np.random.default_rng(1))  # fmt: skip
    assert compare(a, b, seed=2).p_value == pytest.approx(theirs.pvalue, abs=0.02)


def test_interval_is_that_of_the_normal_limit():
    a, b = pair(2000, 0.05)
    ours = compare(a, b, seed=3)
    error = (a - b).std(ddof=1) / np.sqrt(2000)
    assert ours.low == pytest.approx(ours.difference - 1.96 * error, abs=0.1 * error)
    assert ours.high == pytest.approx(ours.difference + 1.96 * error, abs=0.1 * error)


def test_false_alarms_are_as_rare_as_stated():
    alarms = [compare(*pair(40, 0.0, seed), seed=seed, resamples=499).p_value < 0.05 for seed in range(300)]
    assert np.mean(alarms) == pytest.approx(0.05, abs=0.035)


def test_counts_and_means():
    a, b = np.array([1.0, 0.5, 0.2, 0.0]), np.array([0.5, 0.5, 0.3, 0.0])
    got = compare(a, b, seed=0)
    assert (got.wins, got.losses, got.ties) == (1, 1, 2)
    assert (got.mean_a, got.mean_b) == (pytest.approx(0.425), pytest.approx(0.325))
    assert got.difference == pytest.approx(0.1)


@pytest.mark.parametrize("values", [np.zeros(50), np.ones(50), np.array([0.3])])
def test_equal_systems_cannot_be_told_apart(values):
    got = compare(values, values.copy(), seed=0)
    assert (got.low, got.high, got.p_value, got.ties) == (0, 0, 1, len(values))
    assert verdict(got, "nDCG@10").startswith("cannot tell")


def test_the_same_gain_everywhere_is_certain():
    got = compare(np.full(50, 0.5), np.full(50, 0.25), seed=0)
    assert (got.low, got.high) == (0.25, 0.25)
    assert got.p_value == pytest.approx(1e-4)


def test_swapping_the_systems_swaps_the_answer():
    a, b = pair(200, 0.06)
    one, two = compare(a, b, seed=4), compare(b, a, seed=4)
    assert one.p_value == two.p_value
    assert one.difference == -two.difference
    assert verdict(one, "m").startswith("better")
    assert verdict(two, "m").startswith("worse")


def test_the_same_seed_gives_the_same_answer():
    a, b = pair(200, 0.02)
    assert compare(a, b, seed=5) == compare(a, b, seed=5)
    assert compare(a, b, seed=5) != compare(a, b, seed=6)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros(3), np.zeros(4), r"shape \(3,\) and \(4,\)"),
        (np.zeros(0), np.zeros(0), "one score a query"),
        (np.array([np.nan, 1.0]), np.zeros(2), "nan or infinity"),
    ],
)
def test_bad_scores_teach(a, b, message):
    with pytest.raises(BadInput, match=message):
        compare(a, b, seed=0)


def test_verdict_is_one_sentence_with_the_figures():
    said = Comparison(0.623, 0.508, 0.115, 0.098, 0.131, 0.0001, 9, 1, 0)
    figures = "0.115 (95 % interval +0.098 to +0.131), p < 0.001"
    assert verdict(said, "nDCG@10") == f"better: nDCG@10 0.623 against 0.508, +{figures}"
    assert verdict(said, "nDCG@10", names=("model", "base")) == (
        f"better: nDCG@10 0.623 (model) against 0.508 (base), +{figures}"
    )


def test_three_thousand_queries_take_a_second():
    a, b = pair(3000, 0.01)
    start = time.perf_counter()
    compare(a, b, seed=0)
    assert time.perf_counter() - start < 2  # twice what is allowed: the machine is shared


def test_interval_of_one_system_covers_its_mean():
    values = np.random.default_rng(0).random(500)
    low, high = interval(values, seed=0)
    assert low < values.mean() < high


def test_holm_is_the_step_down_of_the_definition():
    p_values = [0.04, 0.001, 0.03, 0.2]
    order = sorted(p_values)
    by_hand, highest = {}, 0.0
    for place, value in enumerate(order):
        highest = max(highest, min(1.0, value * (len(order) - place)))
        by_hand[value] = highest
    assert holm(p_values) == pytest.approx([by_hand[value] for value in p_values])
    assert holm([]) == []


def test_what_is_detectable_is_detected_four_times_in_five():
    rng = np.random.default_rng(0)
    size = detectable(0.3 * rng.standard_normal(200))
    found = [compare(size + 0.3 * rng.standard_normal(200), np.zeros(200), seed=1, resamples=499).p_value < 0.05
             for _ in range(200)]  # fmt: skip
    assert np.mean(found) == pytest.approx(0.8, abs=0.1)
    assert detectable(np.array([0.5])) == float("inf")


def test_a_share_is_the_ratio_of_means_with_the_interval_of_its_resamples():
    rng = np.random.default_rng(0)
    whole = rng.random(300)
    part = whole * rng.uniform(0.8, 1, 300)
    found = share(part, whole)
    draws = [rng.integers(0, 300, 300) for _ in range(4000)]
    ratios = [part[rows].mean() / whole[rows].mean() for rows in draws]
    assert found.value == pytest.approx(part.mean() / whole.mean())
    np.testing.assert_allclose([found.low, found.high], np.percentile(ratios, [2.5, 97.5]), atol=1e-3)
    assert share(whole, whole) == Share(1.0, 1.0, 1.0)
    assert share(whole * 0, whole) == Share(0.0, 0.0, 0.0)
    assert found == share(part, whole)


def test_a_share_of_nothing_is_refused():
    with pytest.raises(BadInput, match="share: expected queries with an answer, found a mean of 0"):
        share(np.zeros(5), np.zeros(5))
