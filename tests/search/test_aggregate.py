"""Documents from passages: the same as loops over dictionaries give, ties included."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.errors import BadInput
from nearfar.search.aggregate import DocumentOfRow, aggregated, mean_norms

GRID = st.integers(-3, 3).map(lambda n: n / 2)  # so that ties are common


@st.composite
def passages(draw):
    documents = draw(st.lists(st.integers(0, 6), min_size=1, max_size=25))
    scores = draw(st.lists(GRID, min_size=len(documents), max_size=len(documents)))
    rows = draw(st.lists(st.sampled_from(range(len(documents))), unique=True))
    return np.array(documents, np.int32), np.array(scores, np.float32), np.array(rows, np.int32)


def naive(documents, scores, rows, k, how):
    """(document, score, best row) by loops."""
    table = {}
    for document in {int(documents[row]) for row in rows}:
        mine = [row for row in range(len(documents)) if documents[row] == document]
        if how == "max":
            mine = [row for row in mine if row in set(rows.tolist())]
        best = min(mine, key=lambda row: (-scores[row], row))
        total = sum(float(scores[row]) for row in mine) / len(mine) if how == "mean" else float(scores[best])
        table[document] = (np.float32(total), best)
    ranked = sorted(table.items(), key=lambda item: (-item[1][0], item[0]))
    return [(document, score, best) for document, (score, best) in ranked[:k]]


@given(passages(), st.integers(1, 8), st.sampled_from(["max", "mean"]))
def test_ranking_is_that_of_naive_loops(case, k, how):
    documents, scores, rows = case
    ranked = aggregated(rows, scores[rows], DocumentOfRow(documents), k, how, score=lambda every: scores[every])
    got = list(zip(ranked.documents.tolist(), ranked.scores, ranked.passages.tolist(), strict=True))
    assert got == naive(documents, scores, rows, k, how)


def test_mean_is_the_score_of_the_mean_vector():
    rng = np.random.default_rng(0)
    vectors, query = rng.standard_normal((40, 8)).astype(np.float32), rng.standard_normal(8).astype(np.float32)
    documents = rng.integers(0, 9, 40)
    rows = np.arange(40)
    ranked = aggregated(rows, vectors @ query, DocumentOfRow(documents), 9, "mean", score=lambda r: vectors[r] @ query)
    for document, score in zip(ranked.documents, ranked.scores, strict=True):
        np.testing.assert_allclose(score, vectors[documents == document].mean(0) @ query, atol=1e-5)


def test_mean_with_norms_is_the_cosine_of_the_mean_vector(monkeypatch):
    monkeypatch.setattr("nearfar.search.aggregate.BLOCK_DOCUMENTS", 2)
    rng = np.random.default_rng(2)
    vectors, query = rng.standard_normal((40, 8)).astype(np.float32), rng.standard_normal(8).astype(np.float32)
    documents = rng.choice([0, 1, 3, 4, 7], 40)  # some have no passage
    norms = mean_norms(vectors, DocumentOfRow(documents))
    assert norms[2] == 1
    of = DocumentOfRow(documents, norms)
    ranked = aggregated(np.arange(40), vectors @ query, of, 9, "mean", score=lambda r: vectors[r] @ query)
    cosines = {}
    for document in set(documents.tolist()):
        mean = vectors[documents == document].mean(0)
        cosines[document] = mean @ query / np.linalg.norm(mean)
    assert ranked.documents.tolist() == sorted(cosines, key=lambda document: -cosines[document])
    np.testing.assert_allclose(ranked.scores, sorted(cosines.values(), reverse=True), atol=1e-5)


def test_order_of_the_hits_changes_nothing():
    rng = np.random.default_rng(1)
    documents, scores = rng.integers(0, 5, 30), rng.integers(0, 3, 30).astype(np.float32)
    for how in ("max", "mean"):
        results = []
        for _ in range(5):
            rows = rng.permutation(30)
            ranked = aggregated(rows, scores[rows], DocumentOfRow(documents), 5, how, score=lambda r: scores[r])
            results.append((ranked.documents.tolist(), ranked.scores.tolist(), ranked.passages.tolist()))
        assert all(result == results[0] for result in results)


def test_nothing_found_gives_nothing():
    none = np.empty(0, np.int32)
    for how in ("max", "mean"):
        ranked = aggregated(none, none.astype(np.float32), DocumentOfRow(np.array([0, 0, 1])), 3, how,
                            score=lambda rows: np.zeros(len(rows), np.float32))  # fmt: skip
        assert len(ranked.documents) == len(ranked.scores) == len(ranked.passages) == 0


def test_mean_without_scores_and_unknown_ways_are_refused():
    rows, scores, of = np.array([0]), np.ones(1, np.float32), DocumentOfRow(np.array([0]))
    with pytest.raises(BadInput, match="a way to score passages"):
        aggregated(rows, scores, of, 1, "mean")
    with pytest.raises(BadInput, match="max or mean"):
        aggregated(rows, scores, of, 1, "median")
