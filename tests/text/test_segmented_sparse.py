"""Learned weights over segments against a dense product of the same matrices."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from nearfar.text.posting_kernels import BLOCK
from nearfar.text.postings import GONE, Postings, merged
from nearfar.text.segmented_sparse import SegmentedSparse

V = 9


def matrix(rows):
    return sparse.csr_array(np.asarray(rows, np.float32))


def halved(rows):
    return np.asarray(rows, np.float32).astype(np.float16).astype(np.float64)


def cut(weights, rows, ends):
    """Segments of the documents between these ends, and their rows."""
    parts = list(pairwise([0, *sorted(ends), len(weights)]))
    return [Postings.weighted(matrix(weights[a:b])) for a, b in parts if b > a], [rows[a:b] for a, b in parts if b > a]


def terms(index, query):
    return index.terms({int(token): float(query[token]) for token in np.flatnonzero(query)}, lambda token: f"<{token}>")


WEIGHT = st.one_of(st.just(0.0), st.floats(2**-30, 60_000, width=32), st.sampled_from([0.25, 1.5, 3.0]))
DOCUMENT = st.lists(WEIGHT, min_size=V, max_size=V)


@st.composite
def tables(draw):
    """Weights of documents, the row of each in a table, or GONE, and where segments end."""
    weights = np.array(draw(st.lists(DOCUMENT, min_size=1, max_size=12)), np.float32)
    live = [i for i in range(len(weights)) if draw(st.booleans())]
    rows = np.full(len(weights), GONE, np.int32)
    rows[draw(st.permutations(live))] = np.arange(len(live))
    return weights, rows, draw(st.lists(st.integers(0, len(weights)), max_size=3))


@given(tables(), DOCUMENT, st.integers(1, 9), st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_segments_with_deletions_are_a_product_over_the_live_documents(table, query, k, seed):
    weights, rows, ends = table
    index = SegmentedSparse.over(*cut(weights, rows, ends))
    own = halved(weights[np.flatnonzero(rows != GONE)[np.argsort(rows[rows != GONE])]])
    asked, query = terms(index, np.array(query, np.float32)), np.array(query, np.float32).astype(np.float64)
    exact = index.inverted.scores(asked, np.arange(len(own)))
    np.testing.assert_allclose(exact, own @ query, rtol=1e-5)
    assert len(index) == len(own)
    for mask in (None, np.random.default_rng(seed).random(len(own)) < 0.7):
        (found,), (scores,) = index.inverted.search([asked], k, mask)
        kept = [row for row in range(len(own)) if exact[row] > 0 and (mask is None or mask[row])]
        best = sorted(kept, key=lambda row: (-exact[row], row))[:k]
        assert found.tolist() == best + [-1] * (k - len(best))
        assert scores.tolist() == [*exact[best].tolist(), *[0] * (k - len(best))]  # to the bit
    for row, document in enumerate(own):
        shares = index.inverted.matched(asked, row)
        assert shares == pytest.approx({f"<{t}>": query[t] * document[t] for t in range(V) if query[t] * document[t]})
        assert list(shares.values()) == sorted(shares.values(), reverse=True)


@given(tables())
@settings(max_examples=30, deadline=None)
def test_merged_segments_hold_the_weights_of_the_live_documents_to_the_bit(table):
    weights, rows, ends = table
    live = np.flatnonzero(rows != GONE)[np.argsort(rows[rows != GONE])]
    parts = cut(weights, rows, ends)
    one, other = merged(*parts), Postings.weighted(matrix(weights[live]))
    assert one.words() == other.words()
    for name in ("offsets", "documents", "counts", "lengths"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("k", [1, 10, 300])
def test_more_documents_than_are_scored_at_a_time(k):
    generator = np.random.default_rng(0)
    held = generator.random((2 * BLOCK + 999, 40)) < 1 / (1 + np.arange(40))
    weights = np.where(held, generator.exponential(size=held.shape), 0).astype(np.float32)
    rows = np.where(generator.random(len(weights)) < 0.3, GONE, 0).astype(np.int32)
    rows[rows == 0] = np.arange((rows == 0).sum())
    index = SegmentedSparse.over(*cut(weights, rows, [BLOCK + 100]))
    query = np.where(generator.random(40) < 0.5, generator.exponential(size=40), 0).astype(np.float32)
    asked = terms(index, query)
    assert len(asked) > 10
    exact = index.inverted.scores(asked, np.arange(len(index)))
    np.testing.assert_allclose(exact, halved(weights[rows != GONE]) @ query, rtol=1e-5)
    (found,), (scores,) = index.inverted.search([asked], k)
    best = np.lexsort((np.arange(len(exact)), -exact))[:k]
    assert found.tolist() == best.tolist()
    assert scores.tolist() == exact[best].tolist()


def test_a_weight_is_off_by_no_more_than_is_said():
    weights = np.exp(np.random.default_rng(0).uniform(-9, 11, (1, 4000))).astype(np.float32)
    index = SegmentedSparse.over([Postings.weighted(matrix(weights))], [np.zeros(1, np.int32)])
    kept = np.array([index.inverted.matched(index.terms({t: 1.0}, str), 0)[str(t)] for t in range(4000)])
    assert np.abs(kept / weights[0] - 1).max() <= 2**-11
    assert np.abs(kept / weights[0] - 1).max() > 2**-12


def test_nothing_is_found_without_documents_or_tokens(tmp_path):
    empty = Postings.weighted(sparse.csr_array((2, 0), dtype=np.float32))
    empty.save(tmp_path)
    index = SegmentedSparse.over([Postings.open(tmp_path)], [np.arange(2, dtype=np.int32)])
    assert index.terms({3: 1.0}, str) == []
    assert index.inverted.search([[]], 2)[0].tolist() == [[-1, -1]]
    assert SegmentedSparse.over([], []).terms({3: 1.0}, str) == []
