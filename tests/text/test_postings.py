"""BM25 of words and neighbours over segments: the formula in a double loop, and text.bm25 on the documents left."""

import math
import re
from collections import Counter
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfar.core.errors import BadInput
from nearfar.text.bm25 import BM25, K1, B
from nearfar.text.posting_kernels import BLOCK
from nearfar.text.postings import GONE, RULES, Postings, merged
from nearfar.text.segmented_bm25 import PAIRS, SegmentedBM25
from nearfar.text.words import VERSION, words

VOCABULARY = ["stone", "river", "getUser", "sort", "東京都", "naïve", "x9", "line", "\ud800"]


def naive(texts, query):
    """Score of every document, as the formula reads."""
    counts = [Counter(terms(text)) for text in texts]
    lengths = [len(words(text)) for text in texts]
    mean = sum(lengths) / max(len(texts), 1)
    scores = np.zeros(len(texts))
    for row, count in enumerate(counts):
        for term in terms(query):
            df = sum(term in c for c in counts)
            if count[term]:
                idf = math.log(1 + (len(counts) - df + 0.5) / (df + 0.5))
                weight = idf * (PAIRS if " " in term else 1)
                scores[row] += weight * count[term] / (count[term] + K1 * (1 - B + B * lengths[row] / mean))
    return scores


def terms(text):
    return [*words(text), *map(" ".join, pairwise(words(text)))]


def cut(texts, rows, ends):
    """Segments of the texts between these ends, and the rows of their documents."""
    parts = list(pairwise([0, *sorted(ends), len(texts)]))
    return [Postings.of(texts[a:b]) for a, b in parts], [rows[a:b] for a, b in parts]


def all_live(texts):
    return SegmentedBM25.over([Postings.of(texts)], [np.arange(len(texts), dtype=np.int32)])


@st.composite
def tables(draw):
    """Texts, the row of each in a table, or GONE, and where segments end."""
    text = st.lists(st.sampled_from(VOCABULARY), max_size=6).map(" ".join)
    texts = draw(st.lists(text, max_size=14))
    live = [i for i in range(len(texts)) if draw(st.booleans())]
    rows = np.full(len(texts), GONE, np.int32)
    rows[draw(st.permutations(live))] = np.arange(len(live))
    return texts, rows, draw(st.lists(st.integers(0, len(texts)), max_size=3))


@given(tables(), st.lists(st.sampled_from(VOCABULARY), max_size=5).map(" ".join), st.integers(1, 9), st.integers(0, 99))
@settings(max_examples=300, deadline=None)
def test_segments_with_deletions_are_the_formula_over_the_live_documents(table, query, k, seed):
    texts, rows, ends = table
    index = SegmentedBM25.over(*cut(texts, rows, ends))
    order = np.argsort(rows[rows != GONE])
    live = [texts[i] for i in np.flatnonzero(rows != GONE)[order]]
    allowed = np.random.default_rng(seed).random(len(live)) < 0.7
    expected = naive(live, query)
    exact = index.scores(query, np.arange(len(live)))
    assert len(index) == len(live)
    np.testing.assert_allclose(exact, expected, rtol=1e-5)
    for mask in (None, allowed):
        (found,), (scores,) = index.search([query], k, mask)
        kept = [row for row in range(len(live)) if exact[row] > 0 and (mask is None or mask[row])]
        best = sorted(kept, key=lambda row: (-exact[row], row))[:k]
        assert found.tolist() == best + [-1] * (k - len(best))
        assert scores.tolist() == [*exact[best].tolist(), *[0] * (k - len(best))]  # to the bit
    for row in range(len(live)):
        shares = index.matched(query, row)
        assert set(shares) == set(terms(query)) & set(terms(live[row]))
        assert sum(shares.values()) == pytest.approx(expected[row], rel=1e-5)
        assert list(shares.values()) == sorted(shares.values(), reverse=True)


@given(tables())
@settings(max_examples=100, deadline=None)
def test_merged_segments_are_the_postings_of_the_live_documents(table):
    texts, rows, ends = table
    live = np.flatnonzero(rows != GONE)[np.argsort(rows[rows != GONE])]
    one, other = merged(*cut(texts, rows, ends)), Postings.of([texts[i] for i in live])
    for field in fields(Postings):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))
        assert getattr(one, field.name).dtype == getattr(other, field.name).dtype


@pytest.fixture(scope="module")
def large():
    """More documents than are scored at a time, with terms so common that they are skipped, and some deletions."""
    rng = np.random.default_rng(0)
    names = np.array([f"w{a}{b}" for a in "bcdfghjklm" for b in "aeiou"])
    share = 1 / np.arange(1, len(names) + 1)
    picked = rng.choice(names, (2 * BLOCK + 5000, 6), p=share / share.sum())
    texts = [" ".join(row[: 1 + i % 6]) for i, row in enumerate(picked)]
    rows = np.where(rng.random(len(texts)) < 0.3, GONE, 0).astype(np.int32)
    rows[rows == 0] = np.arange((rows == 0).sum())
    return texts, rows, SegmentedBM25.over(*cut(texts, rows, [BLOCK + 100, BLOCK + 101]))


@pytest.mark.parametrize("k", [1, 10, 300])
def test_a_large_corpus_is_that_of_text_bm25(large, k, monkeypatch):
    texts, rows, index = large
    monkeypatch.setattr("nearfar.text.segmented_bm25.PAIRS", 0)
    queries = ["wba wla wmo", "wmu", "wbe wbe wda zebra", " ".join(texts[:3]), "", "zebra"]
    other = BM25([text for text, row in zip(texts, rows, strict=True) if row != GONE])
    found, scores = index.search(queries, k)
    np.testing.assert_allclose(scores, other.search(queries, k)[1], rtol=1e-5)
    every = np.arange(len(index))
    for query, row, score in zip(queries, found, scores, strict=True):
        exact = index.scores(query, every)
        best = np.lexsort((every, -exact))[:k]
        assert row.tolist() == np.where(exact[best] > 0, best, -1).tolist()
        assert score.tolist() == exact[best].tolist()


def test_a_filter_leaves_scores_as_they_are(large):
    *_, index = large
    allowed = np.zeros(len(index), np.bool_)
    allowed[[7, 40_000]] = True
    rows, scores = index.search(["wba wbe wda"], 5, allowed)
    assert set(rows[0].tolist()) <= {7, 40_000, -1}
    assert scores[0].tolist() == index.scores("wba wbe wda", rows[0]).tolist()


def test_rows_without_a_document_score_nothing():
    postings = Postings.of(["stone river", "stone"])
    index = SegmentedBM25.over([postings], [np.array([5, GONE], np.int32)])
    assert index.search(["stone"], 2)[0].tolist() == [[5, -1]]
    scores = index.scores("stone", np.array([5, 0, 4, -1, 6, 10_000]))
    assert scores[0] > 0
    assert scores[1:].tolist() == [0] * 5
    assert index.matched("stone", 0) == {}


@pytest.mark.parametrize("texts", [[], [""], ["?!", ""]])
def test_nothing_is_found_where_no_document_has_a_term(texts):
    index = all_live(texts)
    assert len(index) == len(texts)
    assert index.search(["word", ""], 2)[0].tolist() == [[-1, -1]] * 2
    assert index.search(["word"], 2, np.ones(len(texts), np.bool_))[0].tolist() == [[-1, -1]]


def test_without_segments_or_queries():
    index = SegmentedBM25.over([], [])
    assert index.search(["word"], 2)[0].tolist() == [[-1, -1]]
    assert index.scores("word", np.array([0])).tolist() == [0]
    assert index.search([], 3)[0].shape == (0, 3)
    assert index.search(["word"], 0)[0].shape == (1, 0)


@pytest.mark.parametrize(("times", "kind"), [(255, np.uint8), (256, np.uint16), (70_000, np.uint32)])
def test_counts_take_as_few_bytes_as_they_need(times, kind):
    texts = ["stone " * times, "stone river", "river"]
    index = all_live(texts)
    assert index.inverted.segments[0].postings.counts.dtype == kind
    np.testing.assert_allclose(index.scores("stone", np.arange(3)), naive(texts, "stone"), rtol=1e-5)
    assert index.search(["stone"], 3)[0].tolist() == [[0, 1, -1]]


def test_saved_and_opened(tmp_path):
    texts = ["Read every line", "東京都の天気", "", "getUser \ud800"]
    made = Postings.of(iter(texts))
    made.save(tmp_path)
    opened = Postings.open(tmp_path)
    rows = np.arange(4, dtype=np.int32)
    one, other = (SegmentedBM25.over([postings], [rows]) for postings in (made, opened))
    for a, b in zip(one.search(texts, 4), other.search(texts, 4), strict=True):
        np.testing.assert_array_equal(a, b)
    assert {file.suffix for file in tmp_path.iterdir()} == {".npy"}
    assert not opened.documents.flags.owndata  # mapped
    assert opened.words() == sorted(opened.words()) == made.words()


def test_empty_postings_can_be_saved(tmp_path):
    Postings.of([]).save(tmp_path)
    assert len(Postings.open(tmp_path)) == 0


def test_terms_of_other_rules_are_refused(tmp_path, monkeypatch):
    Postings.of(["stone"]).save(tmp_path)
    ours = list(RULES)
    for other in ([99, ours[1]], [ours[0], 99]):
        monkeypatch.setattr("nearfar.text.postings.RULES", tuple(other))
        with pytest.raises(BadInput, match=re.escape(f"expected terms of the rules {other}, found '{ours}'; build")):
            Postings.open(tmp_path)
    assert ours[0] == VERSION


def test_postings_of_nothing_stay_in_their_memory():
    """Counts of 0, which no text gives, would have a document listed again with every term."""
    names = [f"w{letter}{other}" for letter in "bcdfghj" for other in "aeiouklmno"]
    made = Postings.of([" ".join(names)] * 1000)
    index = SegmentedBM25.over([replace(made, counts=np.zeros_like(made.counts))], [np.arange(1000, dtype=np.int32)])
    assert (index.search([" ".join(names)], 3)[1] == 0).all()


def test_a_term_of_no_document_is_refused(tmp_path):
    made = Postings.of(["stone river", "stone"])
    first, *rest = made.offsets.tolist()
    replace(made, offsets=np.array([first, first, *rest[1:]])).save(tmp_path)
    with pytest.raises(BadInput, match="expected postings whose places lie in them"):
        Postings.open(tmp_path)


@pytest.mark.parametrize("name", ["rules", *(field.name for field in fields(Postings))])
def test_a_file_that_is_missing_or_cut_off_is_refused(tmp_path, name):
    Postings.of(["stone river", "stone"]).save(tmp_path)
    path = tmp_path / f"{name}.npy"
    for content in (path.read_bytes()[:-1], b"", None):
        path.unlink() if content is None else path.write_bytes(content)
        with pytest.raises(BadInput, match="build the index again") as caught:
            Postings.open(tmp_path)
        assert str(path) in str(caught.value)


def test_rows_and_filters_of_another_table_are_refused():
    postings = Postings.of(["stone", "river"])
    with pytest.raises(BadInput, match="expected 2, one for each document, found 1"):
        SegmentedBM25.over([postings], [np.zeros(1, np.int32)])
    with pytest.raises(BadInput, match="expected 2 rows, found 1"):
        all_live(["stone", "river"]).search(["stone"], 1, np.ones(1, np.bool_))
