"""Cleaning, against sets and loops."""

from hypothesis import given
from hypothesis import strategies as st

from nearfar.data.clean import clean, unique_pairs
from nearfar.data.dataset import Dataset, Pairs, Texts
from nearfar.data.read import from_records

PAIR = st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from([-1.0, 0.0, 1.0, 2.0]))


def test_equal_texts_are_merged_and_said():
    dataset = from_records([("a", "x"), ("a", "y"), ("b", "x")])
    assert (list(dataset.queries.texts), list(dataset.documents.texts)) == (["a", "b"], ["x", "y"])
    assert dataset.judged("train").documents[0].tolist() == [0, 1]
    assert dataset.notices == (
        "3 queries given are 2 different texts: equal ones merged",
        "3 documents given are 2 different texts: equal ones merged",
    )


def test_a_pair_of_equal_texts_goes_with_its_texts():
    dataset = from_records([("a", "x"), ("same", "same"), ("b", "y")])
    assert (list(dataset.queries.texts), list(dataset.documents.texts)) == (["a", "b"], ["x", "y"])
    assert dataset.splits["train"].documents.tolist() == [0, 1]
    assert dataset.notices == ("train: 1 pairs dropped: the query is the document itself",)


def test_a_document_another_pair_uses_stays():
    dataset = from_records([("a", "a"), ("b", "a")])
    assert list(dataset.documents.texts) == ["a"]


def test_a_negative_that_is_a_positive_is_dropped_and_counted():
    dataset = from_records([("a", "x", "y"), ("a", "y"), ("b", "y", "x"), ("b", "y")])
    assert dataset.splits["train"].scores.tolist() == [1, 1, 1, 0]
    assert "train: 1 negatives dropped: they are positives of the same query" in dataset.notices
    assert "train: 1 pairs dropped: given before" in dataset.notices


def test_a_clean_set_is_left_alone():
    texts = Texts(["1", "2"], ["a", "b"])
    dataset = Dataset("n", texts, Texts(["3"], ["unjudged"]), {"train": Pairs.of([])})
    assert clean(dataset).documents is dataset.documents
    assert not clean(dataset).notices


@given(st.lists(PAIR))
def test_unique_pairs_keep_the_best_score_of_each(rows):
    best = {}
    for query, document, score in rows:
        best[query, document] = max(score, best.get((query, document), score))
    pairs, (contradictory, repeated) = unique_pairs(Pairs.of(rows))
    kept = zip(pairs.queries.tolist(), pairs.documents.tolist(), pairs.scores.tolist(), strict=True)
    assert {(q, d): s for q, d, s in kept} == best
    assert len(pairs) == len(best) == len(rows) - contradictory - repeated
    assert contradictory == sum(s <= 0 < best[q, d] for q, d, s in rows)
