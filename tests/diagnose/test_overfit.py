from dataclasses import replace

import numpy as np
import pytest

from nearfar.core.ragged import Ragged
from nearfar.diagnose.evidence import Course, Evidence, Questions, Subject
from nearfar.diagnose.new_words import WORD, known_stems, shortened, weight_of_new
from nearfar.diagnose.novelty import nearest_vectors, nearest_words
from nearfar.diagnose.overfit import BINS, diagnose, difference, of_bins
from nearfar.diagnose.ranking import ndcg_of_vectors
from nearfar.pipeline.config import FitConfig

COUNT = 200
NATURAL = [f"{a} {b} {c}" for a in ("please", "now", "then", "well", "maybe") for b in ("find", "copy", "drop", "sort",
           "move", "read", "hide", "load") for c in ("files", "mail", "rows", "words", "notes")]  # fmt: skip


def letters(number):
    return "".join(chr(97 + int(digit)) for digit in f"{number:04d}")


def forms(start, count=COUNT):
    return [f"how do i use {letters(n)} in {letters(n + 5000)}?" for n in range(start, start + count)]


def own(count):
    return Ragged.of([[row] for row in range(count)])


def subject(name, right, *, seed=0):
    """A model that finds the document of a query exactly where `right` (Q,) says so; training queries always."""
    rng = np.random.default_rng(seed)
    documents = np.eye(COUNT, dtype=np.float32)
    test = np.where(np.asarray(right)[:, None], documents, -documents).astype(np.float32)
    ndcg = ndcg_of_vectors(test, documents, own(COUNT))
    encode = lambda texts, role: rng.standard_normal((len(texts), COUNT)).astype(np.float32)  # noqa: E731
    return Subject(name, test, documents, documents, ndcg, encode)


def evidence(train, test):
    questions = [Questions(side, own(len(side))) for side in (train, test)]
    documents = [f"document {number}" for number in range(COUNT)]
    return Evidence(documents, test=questions[1], train=questions[0], training_queries=train,
                    training_size=len(train))  # fmt: skip


def test_few_training_queries_are_no_ground_for_a_verdict():
    found = diagnose(evidence(NATURAL[:12], NATURAL[12:40]))
    assert (found.verdict, found.summary) == ("unknown", "cannot tell: needs at least 30 training queries, found 12")
    assert diagnose(Evidence()).verdict == "unknown"


def test_queries_of_one_form_fail_before_any_training():
    found = diagnose(evidence(forms(0), forms(COUNT)))
    assert found.verdict == "fail"
    assert found.figures["template_share"] == found.figures["known_templates"] == 1
    assert found.figures["templates"] == pytest.approx(1)
    assert found.examples[0] == {"template": "how do i use _ in _", "queries": 200.0, "first": forms(0)[0]}
    FitConfig.parse(found.fix.patch, "fix")


def test_different_queries_are_ok():
    found = diagnose(evidence(NATURAL[:100], NATURAL[100:]))
    assert (found.verdict, found.examples, found.fix.patch) == ("ok", (), {})
    assert found.figures["template_share"] < 0.2


def test_leaks_are_counted_but_for_case_and_white_space():
    asked = [*(query.upper().replace(" ", "  ") for query in NATURAL[:10]), *NATURAL[100:190]]
    clean = replace(evidence(NATURAL[:100], asked), training_queries=NATURAL[:100], dev_queries=NATURAL[100:])
    found = diagnose(clean)
    assert found.figures["leaked_test"] == pytest.approx(0.1)
    assert found.verdict == "fail"
    assert found.figures["leaked_dev"] == 0
    named = diagnose(replace(clean, leaked=NATURAL[100:105]))
    assert named.figures["leaked_dev"] == pytest.approx(0.05)
    assert named.examples[0] == {"leaked query": NATURAL[100]}
    assert named.fix.patch["data"] == {"drop_leaked": True}
    assert set(named.fix.patch) == {"data", "train"}  # such a dev set does not tell when to stop
    FitConfig.parse(named.fix.patch, "fix")


def test_a_model_good_on_familiar_queries_alone_fails_beside_its_base():
    asked = evidence(NATURAL, NATURAL)
    rng = np.random.default_rng(3)
    familiar = np.arange(COUNT) < COUNT // 2
    base = subject("base", rng.random(COUNT) < 0.5)
    train = np.where(familiar[:, None], base.test, rng.standard_normal((COUNT, COUNT))).astype(np.float32)
    base = replace(base, encode=lambda texts, role: train)
    found = diagnose(replace(asked, model=subject("model", familiar), base=base))
    assert found.figures["ndcg_bin_1"] == 1
    assert found.figures[f"ndcg_bin_{BINS}"] == 0
    assert found.figures["excess_gap_low"] > 0.5
    assert found.figures["novel_gain_high"] < -0.2
    alone = diagnose(replace(asked, model=subject("model", familiar)))
    assert {rule.figure for rule in alone.thresholds}.isdisjoint({"novel_gain_high", "new_words_kept"})
    assert alone.figures["train_test_gap"] == pytest.approx(0.5)


def test_a_gap_is_no_harm_while_new_queries_gain():
    natural = [f"{query} {letters(number)}" for number, query in enumerate(NATURAL)]
    rng, familiar = np.random.default_rng(3), np.arange(COUNT) < COUNT // 2
    base = subject("base", np.zeros(COUNT, bool))
    train = np.where(familiar[:, None], base.test, rng.standard_normal((COUNT, COUNT))).astype(np.float32)
    base = replace(base, encode=lambda texts, role: train[: len(texts)])
    model = replace(subject("model", familiar | (rng.random(COUNT) < 0.3)), encode=base.encode)
    found = diagnose(replace(evidence(natural, NATURAL), model=model, base=base))
    assert found.figures["excess_gap_low"] > 0.5
    assert found.figures["novel_gain"] > 0.1
    assert "novel gain" not in found.summary
    assert "excess_gap_low" not in {rule.figure for rule in found.thresholds}


def test_a_live_log_tells_gains_that_users_do_not_see():
    live = Questions(["live " + query for query in NATURAL], own(COUNT))
    asked = replace(evidence(forms(0), forms(COUNT)), live=live, lexical=lambda queries: _half_right(len(queries)))
    offline = diagnose(replace(asked, model=subject("model", np.ones(COUNT, bool))))
    assert offline.figures["offline_gain"] == pytest.approx(0.5)
    assert offline.figures["live_gain"] < -0.3
    assert offline.verdict == "fail"
    same = replace(subject("model", np.ones(COUNT, bool)), encode=lambda texts, role: np.eye(COUNT, dtype=np.float32))
    online = diagnose(replace(asked, model=same))
    assert online.figures["divergence"] == 0
    assert online.verdict == "ok"  # though all queries have one form


def _half_right(count):
    rows = np.arange(count, dtype=np.int32)
    return np.where(rows % 2, rows, (rows + 1) % count)[:, None].astype(np.int32)


def test_a_fall_on_dev_is_watched():
    course = Course(steps=100, best_step=10, dev=((0, 0.3), (10, 0.6), (50, 0.58), (100, 0.5)))
    found = diagnose(replace(evidence(NATURAL[:100], NATURAL[100:]), course=course))
    assert found.figures["best_at"] == 0.1
    assert found.figures["dev_fall"] == pytest.approx(0.1)
    assert found.verdict == "watch"


def test_bins_against_a_loop():
    rng = np.random.default_rng(0)
    model, base, cosines = rng.random(203), rng.random(203), rng.random(203).astype(np.float32)
    figures = of_bins(model, base, cosines)
    order = sorted(range(203), key=lambda row: -cosines[row])
    start = 0
    for number, size in enumerate((51, 51, 51, 50), 1):
        rows = order[start : start + size]
        assert figures[f"ndcg_bin_{number}"] == pytest.approx(sum(model[row] for row in rows) / size)
        start += size
    assert figures["excess_gap"] == pytest.approx(figures["gap"] - figures["reference_gap"])
    assert figures["excess_gap_low"] < figures["excess_gap"] < figures["excess_gap_high"]


def test_the_interval_of_a_difference_covers_it_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(60):
        _, low, high = difference(rng.normal(0.5, 0.3, 60), rng.normal(0.2, 0.3, 90))
        hits += low <= 0.3 <= high
    assert 50 <= hits <= 60
    equal = difference(np.full(9, 0.4), np.full(4, 0.1))
    assert equal == pytest.approx((0.3, 0.3, 0.3))


def test_nearest_by_vectors_and_by_words_against_loops():
    rng = np.random.default_rng(2)
    queries, others = (rng.standard_normal((n, 5)).astype(np.float32) for n in (7, 11))
    rows, cosines = nearest_vectors(queries, others)
    for row, query in enumerate(queries):
        every = [query @ other / np.linalg.norm(query) / np.linalg.norm(other) for other in others]
        assert rows[row] == int(np.argmax(every))
        assert cosines[row] == pytest.approx(max(every), abs=1e-6)
    texts = [["a", "b"], ["a", "c"], ["a", "d"], ["e"]]
    rows, cosines = nearest_words([["c", "a"], ["a", "x"], []], texts)
    weight = {word: np.log1p(4 / (1 + df)) for word, df in {"a": 3, "b": 1, "x": 0}.items()}
    norms = [np.hypot(weight["a"], weight[word]) for word in ("b", "x")]
    assert rows.tolist() == [1, 0, 0]
    assert cosines == pytest.approx([1, weight["a"] ** 2 / norms[0] / norms[1], 0], abs=1e-6)


def test_ndcg_of_vectors_against_a_loop():
    rng = np.random.default_rng(4)
    queries, documents = (rng.standard_normal((n, 6)).astype(np.float32) for n in (9, 40))
    relevant = [rng.permutation(40)[: 1 + row % 3] for row in range(9)]
    for row, value in enumerate(ndcg_of_vectors(queries, documents, Ragged.of(relevant))):
        order = np.argsort(-(documents @ queries[row]))[:10]
        gain = sum(1 / np.log2(place + 2) for place, document in enumerate(order) if document in relevant[row])
        assert value == pytest.approx(gain / sum(1 / np.log2(place + 2) for place in range(len(relevant[row]))))
    few = ndcg_of_vectors(queries, documents[:3], Ragged.of([[0]] * 9))
    assert few.min() >= 0.5


def test_forms_that_test_queries_do_not_have_fail():
    mixed = [*forms(0, 60), *NATURAL[:140]]
    found = diagnose(evidence(mixed, NATURAL[140:] + NATURAL[:60]))
    assert found.figures["form_shift"] == pytest.approx(0.3, abs=0.02)
    assert (found.figures["template_share"] < 0.4, found.verdict) == (True, "fail")
    own = {"kind": "train", "epochs": 3}
    for stages in ((), ({"kind": "train"},), ({"kind": "cloze", "passages": 2}, own), ({"kind": "mine"}, own)):
        fix = diagnose(replace(evidence(mixed, NATURAL[140:] + NATURAL[:60]), stages=stages)).fix.patch
        first = [{"kind": "cloze", "passages": 10}, {"kind": "train", "epochs": 2, "batch_size": 256}]
        last = [stage for stage in stages if stage["kind"] != "cloze"] or [{"kind": "train"}]
        assert fix["stages"] == [*first, {"kind": "cloze", "passages": 0}, *last]
        FitConfig.parse(fix, "fix")
    alike = diagnose(evidence(mixed, [*forms(300, 60), *NATURAL[60:]]))
    assert alike.figures["form_shift"] < 0.02
    assert "form_shift" not in diagnose(evidence(mixed, NATURAL[:100])).figures  # too few to tell


def test_a_token_table_with_queries_of_one_form_gets_passages_and_a_teacher_and_a_transformer_neither():
    transformer = replace(subject("base", np.ones(COUNT, bool)), encode=lambda texts, role: np.eye(COUNT)[: len(texts)])
    unknown = evidence(forms(0), NATURAL)
    tuned = replace(unknown, base=replace(transformer, is_static=True))
    for given in (replace(unknown, is_fresh=True), tuned):
        patch = diagnose(given).fix.patch
        assert patch["teachers"] == {"models": ["minilm"]}
        assert patch["stages"][1] == {"kind": "train", "epochs": 6, "batch_size": 256,
                                      "loss": {"info_nce": 1.0, "embedding_distillation": 10.0}}  # fmt: skip
        FitConfig.parse(patch, "fix")
        own = diagnose(replace(given, has_teachers=True)).fix.patch
        assert ("teachers" in own, "loss" in own["stages"][1]) == (False, False)
    assert "teachers" not in diagnose(unknown).fix.patch
    for epochs, few in ((1, 1), (16, 2)):
        pretrained = diagnose(replace(unknown, base=transformer, settings={"epochs": epochs})).fix
        assert pretrained.patch == {"train": {"epochs": few, "learning_rate": None}}  # passages do it no good
        assert "queries as people ask them" in pretrained.advice


@pytest.mark.parametrize(("last", "verdict"), [(0.29, "ok"), (0.28, "watch"), (0.26, "fail")])
def test_training_that_only_harmed_fails(last, verdict):
    course = Course(steps=100, best_step=0, dev=((0, 0.3), (50, 0.2), (100, last)))
    found = diagnose(replace(evidence(NATURAL[:100], NATURAL[100:]), course=course))
    assert found.verdict == verdict
    assert found.figures["dev_below_start"] == found.figures["dev_fall"] == pytest.approx(0.3 - last)
    assert ("learning_rate" in found.fix.patch.get("train", {})) == (verdict != "ok")


class Bag:
    """Vectors of texts as sums of a direction for each word, long for some words."""

    def __init__(self, long, length):
        self.long, self.length, self.directions = long, length, {}
        self.rng = np.random.default_rng(1)

    def __call__(self, texts, role):
        rows = []
        for text in texts:
            row = np.zeros(COUNT)
            for word in text.split():
                direction = self.directions.setdefault(word, self.rng.standard_normal(COUNT))
                row += direction * (self.length if word in self.long else 1)
            rows.append(row / max(np.linalg.norm(row), 1e-9))
        return np.array(rows, np.float32)


@pytest.mark.parametrize(("length", "verdict"), [(0.5, "ok"), (1, "fail"), (3, "fail")])
def test_words_learnt_by_heart_drown_new_ones(length, verdict):
    train = [query + " soon" for query in NATURAL[:100]]
    known = {word for query in train for word in query.split()}
    test = [f"{query} {letters(row)}x {letters(row + 700)}y" for row, query in enumerate(NATURAL)]
    asked = replace(
        evidence(NATURAL, test),
        training_queries=train,
        course=Course(steps=10, best_step=10, dev=((0, 0.2), (10, 0.3))),
    )
    model = replace(subject("model", np.ones(COUNT, bool)), encode=Bag(known, length))
    found = diagnose(replace(asked, model=model))
    assert found.verdict == verdict, found.summary
    beside = diagnose(replace(asked, model=model, base=model))
    assert beside.figures["new_words_kept"] == pytest.approx(1, abs=0.01)
    assert "new_words" not in {rule.figure for rule in beside.thresholds}


def test_a_base_tells_how_much_new_words_counted_before():
    test = [f"{query} {letters(row)}x {letters(row + 700)}y" for row, query in enumerate(NATURAL)]
    known = {word for query in NATURAL for word in query.split()}
    base, model = (replace(subject(name, np.ones(COUNT, bool)), encode=Bag(known, length))
                   for name, length in (("base", 1), ("model", 2)))  # fmt: skip
    found = diagnose(replace(evidence(NATURAL, test), model=model, base=base))
    assert found.figures["new_words_kept"] < 0.7
    assert (found.verdict, "new words kept" in found.summary) == ("fail", True)


def test_the_weight_of_new_words_against_a_loop():
    known = known_stems(["Sorting the rows", "hide (files), now!"])
    assert known == {"sorti", "the", "rows", "hide", "files", "now"}
    queries = ["sorting rows by xyzzy", "hide the xyzzy", "qux_quux files/rows", "now rows", "Sortieren rows"]
    whole, no_new, fewer_known = shortened(queries, known)
    assert whole == ["sorting rows by xyzzy", "qux_quux files/rows"]  # elsewhere one known word, or no new one
    assert no_new[0] == "sorting rows by"
    assert fewer_known[0] in {"sorting by xyzzy", "rows by xyzzy"}
    assert {len(WORD.findall(text)) for text in (no_new[1], fewer_known[1])} == {3}
    encode = Bag(known, 2)
    turns = [sum(1 - float(a @ b) for a, b in zip(encode(whole, "query"), encode(other, "query"), strict=True))
             for other in (no_new, fewer_known)]  # fmt: skip
    assert weight_of_new((whole, no_new, fewer_known), encode) == pytest.approx(turns[0] / turns[1], rel=1e-5)
