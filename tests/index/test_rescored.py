"""Candidates by codes and ranks by full vectors, against exact search."""

import numpy as np
import pytest
from coded import clustered, fitted

from nearfar.compress.binary import BINARY
from nearfar.compress.product import PQ
from nearfar.core.errors import FingerprintMismatch
from nearfar.index.codes import CodedIndex, Rescored, rescored
from nearfar.index.exact import top_k

VECTORS, QUERIES = clustered(1500, 32), clustered(60, 32, seed=1)


def coded(kind, size):
    codec = fitted(kind, VECTORS, size)
    return CodedIndex("fake", codec, codec.encode(VECTORS), "f", "index")


def overlap(rows, exact):
    return np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(rows.tolist(), exact.tolist(), strict=True)])


@pytest.mark.parametrize("candidates", [1500, 9999])
def test_with_every_document_a_candidate_it_is_exact_search(candidates):
    rows, scores = Rescored(coded(BINARY, 4), VECTORS.__getitem__, candidates).search(QUERIES, 10, "f")
    exact, values = top_k(QUERIES, VECTORS, 10)
    np.testing.assert_array_equal(rows, exact)
    np.testing.assert_allclose(scores, values, atol=1e-6)


def test_ties_go_to_the_lower_row_as_in_exact_search():
    generator = np.random.default_rng(0)  # small integers: many ties, and sums without rounding
    vectors, queries = (generator.integers(-1, 2, (count, 4)).astype(np.float32) for count in (200, 9))
    shuffled = np.stack([generator.permutation(200) for _ in queries]).astype(np.int32)
    for found, expected in zip(
        rescored(queries, shuffled, vectors.__getitem__, 20), top_k(queries, vectors, 20), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("kind", "size"), [(BINARY, 4), (PQ, 4)])
def test_scores_are_exact_and_recall_rises_with_the_candidates(kind, size):
    index, exact = coded(kind, size), top_k(QUERIES, VECTORS, 10)[0]
    recalls = [overlap(index.search(QUERIES, 10, "f")[0], exact)]
    for candidates in (20, 60, 300):
        rows, scores = Rescored(index, VECTORS.__getitem__, candidates).search(QUERIES, 10, "f")
        ours = np.take_along_axis(QUERIES @ VECTORS.T, rows, axis=1)
        np.testing.assert_allclose(scores, ours, atol=1e-6)
        assert (np.diff(scores, axis=1) <= 0).all()
        chosen = index.search(QUERIES, candidates, "f")[0]
        assert all(set(a) <= set(b) for a, b in zip(rows.tolist(), chosen.tolist(), strict=True))
        recalls.append(overlap(rows, exact))
    assert recalls == sorted(recalls)
    assert recalls[0] < 0.9 < recalls[-1]


def test_as_many_are_returned_as_are_asked_for():
    rows, _ = Rescored(coded(BINARY, 4), VECTORS.__getitem__, 3).search(QUERIES, 10, "f")
    assert rows.shape == (60, 10)
    assert Rescored(coded(BINARY, 4), VECTORS.__getitem__, 20).search(QUERIES[:0], 10, "f")[0].shape == (0, 10)


def test_only_the_candidates_are_read():
    read = []

    def counted(rows):
        read.append(rows)
        return VECTORS[rows]

    Rescored(coded(PQ, 8), counted, 25).search(QUERIES, 10, "f")
    assert [len(rows) for rows in read] == [25] * len(QUERIES)


def test_queries_of_another_model_are_refused():
    with pytest.raises(FingerprintMismatch):
        Rescored(coded(BINARY, 4), VECTORS.__getitem__, 20).search(QUERIES, 10, "g")
