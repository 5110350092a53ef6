"""False negatives: against naive loops, and on hand-made data of known duplicates."""

import sys
from dataclasses import replace
from math import comb

import numpy as np
import pytest

from nearfar.core.near_duplicates import by_tokens, tokens
from nearfar.core.ragged import Ragged
from nearfar.diagnose.evidence import Evidence, Questions, Subject
from nearfar.diagnose.false_negatives import diagnose, unsaid
from nearfar.diagnose.geometry import near_duplicates
from nearfar.diagnose.in_batch import harm_begins, met
from nearfar.diagnose.suspects import Likeness, suspects
from nearfar.pipeline.config import FitConfig

WORDS = [f"w{i}" for i in range(400)]


def texts(count, length=12, seed=0):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, length, replace=False)) for _ in range(count)]


def evidence(documents, positives, **more):
    """A query of its own words for each of `positives`, all of them training pairs."""
    queries = [f"question{'abcdefghij'[i % 10]} of{'x' * (i // 10)}" for i in range(len(positives))]
    train = Questions(queries, Ragged.of([[row] for row in positives]))
    asked = np.bincount(positives, minlength=len(documents))
    return Evidence(documents, train=train, training_size=len(positives), training_pairs=len(positives), asked=asked,
                    **more)  # fmt: skip


def duplicated(count, share):
    """That share of the documents a second time, with another last word."""
    first = texts(count)
    again = [" ".join([*text.split()[:-1], "other"]) for text in first[: int(share * count)]]
    return first + again


def test_meeting_is_drawing_without_replacement():
    answers = np.array([0, 1, 3, 9])
    expected = [1 - comb(9 - a, 4) / comb(9, 4) for a in answers]
    assert met(answers, 10, 5) == pytest.approx(expected)
    assert met(answers, 10, 10) == pytest.approx([0, 1, 1, 1])
    assert met(answers, 10, 8192) == pytest.approx([0, 1, 1, 1])


def test_harm_begins_where_the_share_first_passes():
    answers = np.array([0.0, 0.0, 2.0, 5.0])
    begins = int(harm_begins(answers, 500, 0.05))
    assert met(answers, 500, begins).mean() > 0.05 >= met(answers, 500, begins - 1).mean()
    assert harm_begins(np.zeros(3), 500, 0.05) == np.inf


def test_near_duplicates_are_those_of_all_pairs_compared():
    rng = np.random.default_rng(1)
    given = texts(60) + [" ".join(rng.permutation(text.split())[: 12 - i % 5]) for i, text in enumerate(texts(60))]
    sets = [tokens(text) for text in given]
    rows = np.arange(0, 120, 3)
    expected = [[j for j in range(120) if j != i and len(sets[i] & sets[j]) >= 0.8 * len(sets[i] | sets[j])]
                for i in rows]  # fmt: skip
    assert sum(map(len, expected)) > 10
    assert [sorted(row.tolist()) for row in by_tokens(sets, rows)] == expected


def test_texts_without_tokens_are_not_alike():
    assert by_tokens([set(), set(), {"a"}], np.arange(3)).lengths.tolist() == [0, 0, 0]


def test_alike_vectors_are_those_of_all_pairs_compared():
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(50, 8))
    vectors[25:] = vectors[:25] + rng.normal(size=(25, 8)) * np.linspace(0.05, 0.6, 25)[:, None]
    vectors += 4  # in a cone
    one = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    centred = one - one.mean(axis=0)
    cosine = centred @ centred.T / np.outer(*[np.linalg.norm(centred, axis=1)] * 2)
    expected = [[j for j in range(50) if j != i and cosine[i, j] >= 0.95] for i in (0, 7, 30)]
    found = near_duplicates(vectors.astype(np.float32), np.array([0, 7, 30]))
    assert [row.tolist() for row in found] == expected
    assert 0 < sum(map(len, expected)) < 10


def test_copies_fail_and_different_documents_do_not():
    healthy = diagnose(evidence(texts(200), np.arange(200)))
    some, many = (duplicated(200, share) for share in (0.1, 1.0))
    watched, failed = (diagnose(evidence(given, np.arange(len(given)))) for given in (some, many))
    assert [found.verdict for found in (healthy, watched, failed)] == ["ok", "watch", "fail"]
    assert healthy.figures["suspected"] == 0
    assert (healthy.examples, healthy.fix.patch) == ((), {})
    assert failed.figures["suspected"] == failed.figures["near_duplicates"] == 1
    assert failed.figures["met_at_32"] == pytest.approx(31 / 399)
    assert failed.figures["false_share"] == pytest.approx(1 / 399)
    example = failed.examples[0]
    assert len({one["query"] for one in failed.examples}) == len(failed.examples) == 10
    assert example["positive"] != example["false negative"]
    FitConfig.parse(failed.fix.patch, "fix")


def test_copies_that_no_pair_asks_for_are_in_no_batch():
    found = diagnose(evidence(duplicated(100, 1.0), np.arange(100)))
    assert found.figures["near_duplicates"] == found.figures["met"] == found.figures["suspected"] == 0
    assert found.figures["near_duplicates_in_corpus"] == found.figures["suspected_in_corpus"] == 1


def test_what_training_masks_is_no_false_negative():
    given = duplicated(100, 1.0)
    grouped = diagnose(evidence(given, np.arange(200), groups=[str(i % 100) for i in range(200)]))
    same = diagnose(evidence(texts(100) * 2, np.arange(200)))
    for found in (grouped, same):
        assert found.figures["suspected"] == found.figures["met"] == 0
        assert found.figures["met_without_masks"] == pytest.approx(1)  # a batch of 256 holds all 200
        assert found.verdict == "ok"


def test_masked_near_duplicates_are_none_and_the_fix_asks_for_the_mask():
    asked = evidence(duplicated(200, 1.0), np.arange(400))
    assert diagnose(asked).fix.patch == {"data": {"mask_near_duplicates": True}}
    found = diagnose(replace(asked, near_duplicates_masked=True))
    assert (found.verdict, found.figures["met"]) == ("ok", 0)
    assert found.figures["near_duplicates"] == 1


def test_queries_of_one_text_are_one_query():
    asked = evidence(duplicated(100, 1.0), np.arange(200))
    one = replace(asked, train=replace(asked.train, queries=[*asked.train.queries[:100]] * 2))
    assert diagnose(asked).figures["suspected"] == 1
    assert diagnose(one).figures["suspected"] == 0


def test_the_querys_words_tell_apart():
    given = ["remove every empty file named a b c d e", "remove every empty file named a b c d x"]
    asked = evidence(given, np.zeros(1, int))
    for query, expected in (("remove files", [1]), ("remove file E", [])):
        asking = replace(asked, train=replace(asked.train, queries=[query]))
        assert suspects(asking, Likeness.of(asking)).documents.tolist() == expected


@pytest.mark.parametrize("block_bits", [64, 1 << 10, 1 << 24])
def test_suspects_are_those_of_a_loop_over_all(block_bits, monkeypatch):
    monkeypatch.setattr(sys.modules[suspects.__module__], "BLOCK_BITS", block_bits)
    rng = np.random.default_rng(5)
    letters = np.array([f"{a}{b}{c}" for a in "abcde" for b in "fghij" for c in "klmno"])  # more words than 64 bits
    bodies = rng.permutation(letters)[:120].reshape(6, 20)  # boilerplate, of which every document has two words changed
    rows = [[*body[:18], *rng.choice(letters[:100], 2)] for body in bodies for _ in range(9)]
    given = [" ".join(rng.permutation(row)) for row in rows]
    positives = [sorted(rng.choice(54, count, replace=False).tolist()) for count in rng.integers(1, 4, 80)]
    queries = [" ".join([f"question {i}", *rng.choice(rows[own[0]], 4)]) for i, own in enumerate(positives)]
    queries += ["asks nothing"]  # and has no word of its positive
    positives += [[0]]
    asked = Evidence(given, train=Questions(queries, Ragged.of(positives)))
    words, said = [set(text.split()) for text in given], [set(query.split()) for query in queries]
    expected = sorted({
        (query, other)
        for query, own in enumerate(positives)
        for positive in own
        for other in range(54)
        if other not in own
        and len(words[positive] & words[other]) >= 0.8 * len(words[positive] | words[other])
        and not said[query] & words[positive] - words[other]
    })  # fmt: skip
    found = suspects(asked, Likeness.of(asked))
    assert list(zip(found.queries.tolist(), found.documents.tolist(), strict=True)) == expected
    likely = Likeness.of(asked).triples(asked.train.relevant, Likeness.of(asked).by_tokens)
    assert len(likely.queries) - len(expected) > 100 < len(expected)  # many are told apart, and many are not


def test_a_base_clears_what_it_puts_below_the_positive():
    given = duplicated(60, 1.0)
    asked = evidence(given, np.arange(120))
    rng = np.random.default_rng(3)
    documents = rng.normal(size=(120, 16)).astype(np.float32)
    base = Subject("base", documents[:0], documents.copy(), documents, np.zeros(0), lambda *_: documents)
    assert diagnose(asked).verdict == "fail"
    assert diagnose(replace(asked, base=base)).figures["suspected"] == 0


def test_a_base_finds_paraphrases():
    given = texts(120)
    rng = np.random.default_rng(4)
    half = rng.normal(size=(60, 16))
    documents = np.concatenate([half, half + 0.01 * rng.normal(size=half.shape)]).astype(np.float32)
    documents /= np.linalg.norm(documents, axis=1, keepdims=True)
    base = Subject("base", documents[:0], documents.copy(), documents, np.zeros(0), lambda *_: documents)
    found = diagnose(evidence(given, np.arange(120), base=base))
    assert found.figures["near_duplicates"] == 0
    assert found.figures["suspected"] == found.figures["near_by_vectors"] == 1
    assert set(found.fix.patch) == {"train"}  # no mask over tokens keeps these out
    # the trained model is no judge
    assert diagnose(evidence(given, np.arange(120), model=base)).figures["suspected"] == 0


def test_labels_of_the_test_queries_tell_what_is_unsaid():
    given, topics = texts(120), [list(range(start, start + 10)) for start in range(0, 120, 10)]
    test = Questions([f"topic {i}" for i in range(12)], Ragged.of(topics))
    found = diagnose(evidence(given, np.arange(120), test=test))
    assert found.figures["unsaid"] == pytest.approx(9)  # ten answers, one of them said
    assert found.verdict == "fail"
    known = diagnose(evidence(given, np.arange(120), test=test, groups=[str(i // 10) for i in range(120)]))
    assert known.figures["unsaid"] == 0
    assert known.verdict == "ok"
    single = Questions(["one"], Ragged.of([[3]]))
    assert diagnose(evidence(given, np.arange(120), test=single)).figures["met_by_labels"] == 0
    assert len(unsaid(evidence(given, np.arange(120)))) == 0


def test_documents_beyond_the_sample_count():
    given = duplicated(100, 1.0)
    asked = replace(evidence(given, np.arange(200)), training_pairs=400)
    assert diagnose(asked).figures["false_share"] == pytest.approx(2 / 399)


def test_too_little_is_unknown():
    found = diagnose(evidence(texts(10), np.arange(10)))
    assert found.verdict == "unknown"
    assert "30 training queries, found 10" in found.summary
    assert diagnose(Evidence()).verdict == "unknown"
