"""Usage of codebooks, against counting by hand."""

import numpy as np
import pytest

from nearfar.compress.codec import Sample
from nearfar.compress.health import CodebookMonitor, distortions, health, names, shares
from nearfar.compress.registry import fit


def test_all_centroids_as_often():
    codes = np.stack([np.arange(256), np.arange(256)[::-1]], axis=1).astype(np.uint8)
    found = health(codes)
    assert (found.used, found.perplexity, found.least) == (1, pytest.approx(256), pytest.approx(256))


def test_a_codebook_of_which_one_centroid_is_used():
    codes = np.array([[7, 0], [7, 0], [7, 1], [7, 1]], np.uint8)
    found = health(codes)
    assert found.used == pytest.approx(3 / 512)
    assert found.perplexity == pytest.approx((1 + 2) / 2)
    assert found.least == pytest.approx(1)


def test_two_codes_in_a_byte():
    codes = np.array([[0x21, 0x43], [0x65, 0x43]], np.uint8)
    np.testing.assert_array_equal(names(codes, 4), [[1, 2, 3, 4], [5, 6, 3, 4]])
    found = health(codes, bits=4)
    assert found.used == pytest.approx(6 / 64)
    assert found.perplexity == pytest.approx((2 + 2 + 1 + 1) / 4)
    with pytest.raises(ValueError, match="4 or 8 bits, found 5"):
        names(codes, 5)


def test_shares_are_counted():
    named = np.random.default_rng(0).integers(0, 5, (40, 3))
    naive = [[sum(row[book] == centroid for row in named) / 40 for centroid in range(6)] for book in range(3)]
    np.testing.assert_allclose(shares(named, 6), naive)
    assert not shares(named[:0], 6).any()


@pytest.mark.parametrize(("name", "size"), [("float16", 64), ("pq", 4), ("opq", 4), ("pca", 16), ("rq", 4)])
def test_distortion_is_what_a_code_leaves_of_each_vector(name, size):
    vectors = 3 * np.random.default_rng(0).normal(size=(5000, 32)).astype(np.float32)
    codec = fit(name, Sample(vectors[:300], vectors[:0]), size)
    codes = codec.encode(vectors)
    naive = [((x - y) @ (x - y)) / (x @ x) for x, y in zip(vectors, codec.decode(codes), strict=True)]
    np.testing.assert_allclose(distortions(codec, vectors, codes), naive, rtol=1e-4)


def monitored(rounds, errors=None):
    monitor = CodebookMonitor(centroids=16)
    for number, codes in enumerate(rounds):
        monitor.on_round(10 * number, codes, (errors or [1.0] * len(rounds))[number])
    return monitor


def even(seed, centroids=16):
    return np.random.default_rng(seed).integers(0, centroids, (2000, 3))


def test_usage_is_the_decayed_mean_of_the_rounds():
    several = [even(seed, centroids) for seed, centroids in enumerate((4, 16, 2))]
    weights = np.array([0.99**2, 0.99, 1])
    mean = sum(w * shares(codes, 16) for w, codes in zip(weights, several, strict=True)) / weights.sum()
    usage = monitored(several).rounds[-1].usage
    assert usage.used == pytest.approx((mean > 0.01 / 16).mean())
    entropies = [-sum(p * np.log2(p) for p in book if p) for book in mean]
    assert usage.perplexity == pytest.approx(np.mean([2**entropy for entropy in entropies]))
    assert usage.least == pytest.approx(2 ** min(entropies))


def test_even_usage_and_a_falling_error_raise_no_alarm():
    monitor = monitored([even(seed) for seed in range(8)], [1, 0.9, 0.95, 0.8, 0.81, 0.8, 0.79, 0.78])
    assert [one.step for one in monitor.rounds] == list(range(0, 80, 10))
    assert monitor.alarms == {}


def test_centroids_that_stand_for_nothing_are_told_once():
    monitor = monitored([even(0, 12), even(1, 6)])
    assert list(monitor.alarms) == ["dead"]
    assert monitor.alarms["dead"] == "after step 0: 25% of the centroids stand for hardly anything"


def test_a_codebook_that_collapses_is_told():
    codes = [np.array(even(seed)) for seed in range(200)]
    for late in codes[20:]:
        late[:, 1] = 3
    alarms = monitored(codes).alarms
    assert list(alarms) == ["perplexity"]
    assert "a codebook's perplexity fell from 16 to 8" in alarms["perplexity"]


@pytest.mark.parametrize(("errors", "told"), [
    ([1, 0.5, 0.6], False),  # one round after the least
    ([1, 0.5, 0.54, 0.54], False),  # by less than a tenth
    ([1, 0.5, 0.6, 0.56], True),
    ([1, 0.5, 0.6, float("nan")], True),
])  # fmt: skip
def test_an_error_that_rises_is_told(errors, told):
    assert ("error" in monitored([even(seed) for seed in range(len(errors))], errors).alarms) == told
