"""Fusion against plain loops over dictionaries, and against exact fusion of all documents."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfar.index.exact import top_k
from nearfar.search.fusion import DEFAULT_WEIGHT, Candidates, convex, parts, reciprocal_ranks, tuned_weight
from nearfar.text.postings import Postings
from nearfar.text.segmented_bm25 import SegmentedBM25

QUERIES, DOCUMENTS = 4, 12


def full(seed):
    """Scores of every document on both sides, with ties, negative cosines and documents without a term."""
    rng = np.random.default_rng(seed)
    dense = rng.integers(-4, 5, (QUERIES, DOCUMENTS)) / np.float32(4)
    return dense, rng.integers(0, 4, (QUERIES, DOCUMENTS)).astype(np.float32)


def search(scores, k, *, zeros):
    """The k best documents of each query, and PAD where the rest score 0 and `zeros` are not returned."""
    rows, values = top_k(scores, np.eye(scores.shape[1], dtype=np.float32), k)
    absent = np.zeros(rows.shape, bool) if zeros else values <= 0
    return np.where(absent, -1, rows).astype(np.int32), np.where(absent, 0, values)


def joined(dense, lexical, depth):
    """Candidates, and which scores were asked for."""
    asked = []

    def ask(side, scores):
        return lambda query, rows: asked.append((side, query, rows.tolist())) or scores[query, rows]

    found = search(dense, depth, zeros=True), search(lexical, depth, zeros=False)
    return Candidates.of(*found, ask("dense", dense), ask("lexical", lexical)), found, asked


def ranked(fused, k):
    """Rows of a dictionary from row to score, best first, ties by row."""
    return sorted(fused, key=lambda row: (-fused[row], row))[:k]


SEEDS, DEPTHS = st.integers(0, 10_000), st.integers(1, DOCUMENTS)


@given(SEEDS, DEPTHS)
@settings(max_examples=100, deadline=None)
def test_every_candidate_has_its_exact_scores_and_only_the_missing_are_asked_for(seed, depth):
    dense, lexical = full(seed)
    candidates, found, asked = joined(dense, lexical, depth)
    missing = []
    for query in range(QUERIES):
        one, other = ({int(row) for row in rows[query] if row >= 0} for rows, _ in found)
        rows = sorted(one | other)
        width = len(rows)
        assert candidates.rows[query].tolist() == rows + [-1] * (candidates.rows.shape[1] - width)
        assert candidates.dense[query, :width].tolist() == dense[query, rows].tolist()
        assert candidates.lexical[query, :width].tolist() == lexical[query, rows].tolist()
        missing += [("dense", query, sorted(other - one))] if other - one else []
        missing += [("lexical", query, sorted(one - other))] if one - other else []
    assert sorted(asked) == sorted(missing)


@pytest.mark.parametrize("lowest", [-1.0, None])
@given(SEEDS, DEPTHS, st.sampled_from([0.0, 0.3, 0.5, 0.94, 1.0]))
@settings(max_examples=100, deadline=None)
def test_convex_is_the_formula(lowest, seed, depth, weight):
    dense, lexical = full(seed)
    candidates, *_ = joined(dense, lexical, depth)
    fused = convex(candidates, weight, lowest=lowest)
    rows, scores = candidates.best(fused, 5)
    for query in range(QUERIES):
        inside = [row for row in candidates.rows[query] if row >= 0]
        bottom = min(dense[query, inside]) if lowest is None else lowest
        top, most = max(dense[query, inside]), max(lexical[query, inside])
        expected = {}
        for row in inside:
            one = (dense[query, row] - bottom) / (top - bottom) if top > bottom else 0
            other = lexical[query, row] / most if most > 0 else 0
            expected[row] = np.float32(weight * one) + np.float32((1 - weight) * other)
        best = ranked(expected, 5)
        np.testing.assert_allclose(fused[query, : len(inside)], [expected[row] for row in inside], rtol=1e-6)
        assert rows[query].tolist() == best + [-1] * (5 - len(best))
        np.testing.assert_allclose(scores[query], [expected[row] for row in best] + [0] * (5 - len(best)), rtol=1e-6)


@given(SEEDS, DEPTHS)
@settings(max_examples=100, deadline=None)
def test_reciprocal_ranks_are_the_formula(seed, depth):
    dense, lexical = full(seed)
    candidates, *_ = joined(dense, lexical, depth)
    fused = reciprocal_ranks(candidates)
    for query in range(QUERIES):
        inside = [row for row in candidates.rows[query] if row >= 0]
        expected = dict.fromkeys(inside, 0.0)
        for scores, kept in ((dense, inside), (lexical, [row for row in inside if lexical[query, row] > 0])):
            for place, row in enumerate(ranked({row: scores[query, row] for row in kept}, None)):
                expected[row] += 1 / (60 + 1 + place)
        np.testing.assert_allclose(fused[query, : len(inside)], [expected[row] for row in inside], rtol=1e-6)


def test_the_ends_of_the_weight_are_the_two_searches():
    dense, lexical = full(1)
    candidates, found, _ = joined(dense, lexical, 6)
    for weight, (rows, _) in zip((1.0, 0.0), found, strict=True):
        fused = convex(candidates, weight)
        kept = rows >= 0
        assert np.array_equal(candidates.best(fused, 6)[0][kept], rows[kept])
    one, other = parts(candidates, 0.3)
    assert not parts(candidates, 1.0)[1].any()
    assert not parts(candidates, 0.0)[0].any()
    np.testing.assert_array_equal(one + other, convex(candidates, 0.3))


def test_deep_candidates_are_fused_as_all_documents_are():
    """Both searches together with exact scores: at full depth nothing is left out."""
    rng = np.random.default_rng(3)
    words = np.array(["stone", "river", "sort", "line", "query"])
    texts = [" ".join(rng.choice(words, 5)) for _ in range(40)]
    index = SegmentedBM25.over([Postings.of(texts)], [np.arange(40, dtype=np.int32)])
    vectors = rng.standard_normal((43, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    documents, queries = vectors[:40], vectors[40:]
    asked = ["stone river", "sort", "unknown"]
    candidates = Candidates.of(
        top_k(queries, documents, 40),
        index.search(asked, 40),
        lambda query, rows: documents[rows] @ queries[query],
        lambda query, rows: index.scores(asked[query], rows),
    )
    rows, _ = candidates.best(convex(candidates, 0.6), 10)
    for query, text in enumerate(asked):
        cosine, lexical = documents @ queries[query], index.scores(text, np.arange(40))
        fused = 0.6 * (cosine + 1) / (cosine.max() + 1) + 0.4 * lexical / max(lexical.max(), 1e-9)
        assert rows[query].tolist() == ranked(dict(enumerate(fused.round(6))), 10)


def test_the_weight_is_the_best_on_the_judged_queries():
    """Each of two queries is answered by one side alone, one needs both: the weight lies where all three are right."""
    dense = np.array([[0.9, 0.5, 0.1], [0.5, 0.8, 0.7], [0.6, 0.6, 0.0]], np.float32)
    lexical = np.array([[0, 0.1, 0], [0, 1, 4], [1, 2, 2]], np.float32)
    right = np.array([0, 2, 1])
    candidates, *_ = joined(dense, lexical, 3)

    def accuracy(rows, scores):
        assert rows.shape == scores.shape == (3, 1)
        return (rows[:, 0] == right).astype(np.float64)

    weight = tuned_weight(candidates, accuracy, k=1)
    assert accuracy(*candidates.best(convex(candidates, weight), 1)).all()
    assert not accuracy(*candidates.best(convex(candidates, 1.0), 1)).all()
    assert not accuracy(*candidates.best(convex(candidates, 0.0), 1)).all()
    assert tuned_weight(candidates, lambda rows, scores: np.zeros(3)) == pytest.approx(DEFAULT_WEIGHT)


def test_no_queries_and_no_candidates():
    nothing = np.full((2, 3), -1, np.int32), np.zeros((2, 3), np.float32)
    candidates = Candidates.of(nothing, nothing, pytest.fail, pytest.fail)
    for fused in (convex(candidates, 0.5), convex(candidates, 0.5, lowest=None), reciprocal_ranks(candidates)):
        assert candidates.best(fused, 2)[0].tolist() == [[-1, -1]] * 2
    none = np.empty((0, 3), np.int32), np.empty((0, 3), np.float32)
    assert Candidates.of(none, none, pytest.fail, pytest.fail).rows.shape == (0, 0)
