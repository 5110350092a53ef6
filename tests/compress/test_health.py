"""Usage of codebooks, against counting by hand."""

import numpy as np
import pytest

from nearfar.compress.health import health


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
