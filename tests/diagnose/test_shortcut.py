"""The failure `shortcut`: figures against naive loops, verdicts on models made to take the shortcut or not."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

from nearfar.core.ragged import Ragged
from nearfar.core.surface import family
from nearfar.diagnose.evidence import Evidence, Questions, Subject, Vectors
from nearfar.diagnose.explained import partial_r2
from nearfar.diagnose.geometry import unit
from nearfar.diagnose.shortcut import diagnose
from nearfar.diagnose.surface import Postings, all_tokens, exchanged, shared, surface_tokens, without, words
from nearfar.pipeline.config import FitConfig

TOPICS = 80
DIMENSIONS = 128


@cache
def direction(token: str) -> Vectors:
    """A direction of its own for each token, (d,)."""
    return np.random.default_rng(list(token.encode())).standard_normal(DIMENSIONS).astype(np.float32)


def vectors(texts: Sequence[str], weight: float) -> Vectors:
    """Bags of tokens as unit vectors; surface tokens count `weight`, words once."""
    found = np.zeros((len(texts), DIMENSIONS), np.float32)
    for row, text in enumerate(texts):
        for token in sorted(all_tokens(text)):
            found[row] += (weight if family(token) else 1.0) * direction(token)
    return unit(found)


def made(share: float, weight: float, queries: int = TOPICS, *, train: bool = True) -> Evidence:
    """Queries and documents of one topic each, of which a share carries an identifier of its own."""
    carried = [f" ref-{10_000 + row}" if row < share * queries else "" for row in range(queries)]
    asked = [
        f"what is said of topic{chr(97 + row % 26)}{'x' * (row // 26)}{token}" for row, token in enumerate(carried)
    ]
    told = [f"here topic{chr(97 + row % 26)}{'x' * (row // 26)} is told{token}" for row, token in enumerate(carried)]
    questions = Questions(asked, Ragged.of([[row] for row in range(queries)]))

    def encode(texts: Sequence[str], role: Any) -> Vectors:
        return vectors(texts, weight)

    asked_by = vectors(asked, weight)
    model = Subject("made", asked_by, asked_by, vectors(told, weight), np.ones(queries), encode)
    return Evidence(told, test=questions, train=questions if train else Questions(), model=model)


def test_families_of_tokens() -> None:
    tokens = {"2021-03-04": "date", "4711": "number", "ref-83412": "identifier", "a.txt": "identifier",
              "/tmp/x": "path", "NASA": "acronym", "Marfan": "name", "kidney": "", "well-known": ""}  # fmt: skip
    assert {token: family(token) for token in tokens} == tokens


def test_a_capital_that_begins_a_text_makes_no_name() -> None:
    assert surface_tokens("Find files of Anna in /tmp", {"find", "files"}) == {"Anna", "/tmp"}
    assert surface_tokens("Bakilo has files", {"find", "files"}) == {"Bakilo"}  # unless nobody writes it small


def test_tokens_are_taken_out_and_exchanged_whole() -> None:
    assert without("find ref-83412 and ref-8341 in ref-83412", ["ref-83412"]) == "find and ref-8341 in"
    assert exchanged("find ref-1 in 2020 now", ["ref-1", "2020"], ["ref-7"]) == "find ref-7 in now"


def test_probability_of_winning_a_batch_is_that_of_the_naive_count() -> None:
    documents = [frozenset(text.split()) for text in ("a x", "a y", "b", "a b x", "c")]
    rarity = {"a": np.log(1 + 5 / 3), "x": np.log(1 + 5 / 2)}
    scores = [sum(rarity[token] for token in ("a", "x") if token in having) for having in documents]
    relevant = np.array([0], np.int32)
    as_good = sum(scores[row] >= scores[0] for row in range(1, 5)) / 5
    assert Postings(documents).wins(["a", "x"], relevant, 8) == pytest.approx((1 - as_good) ** 7)
    assert Postings(documents).wins(["none"], relevant, 8) == 0


def test_shared_tokens_are_exact_and_of_any_relevant_document() -> None:
    questions = Questions(["see ref-12 and ref-3", "see nothing"], Ragged.of([[0, 1], [0]]))
    having = [all_tokens("ref-123 ref-1"), all_tokens("of ref-12")]
    assert [(one.row, one.tokens) for one in shared(questions, having)] == [(0, frozenset({"ref-12"}))]


def test_partial_r2_is_that_of_two_regressions() -> None:
    generator = np.random.default_rng(0)
    controls, feature = generator.standard_normal((400, 2)), generator.standard_normal((400, 1))
    noise = generator.standard_normal(400)
    scores = controls @ [2.0, -1.0] + 1.5 * feature[:, 0] + noise
    assert partial_r2(scores, controls, feature) == pytest.approx(1.5**2 / (1.5**2 + 1), abs=0.06)
    assert partial_r2(controls @ [2.0, -1.0] + noise, controls, feature) < 0.02
    assert partial_r2(np.zeros(400), controls, feature) == 0


def test_a_model_that_reads_nothing_but_identifiers_fails() -> None:
    found = diagnose(made(1.0, weight=50.0))
    assert found.verdict == "fail"
    assert found.figures["decided_by_surface"] == pytest.approx(1.0)
    assert found.figures["swap_rate"] > 0.9
    assert len(found.examples) == 10
    assert "ref-" in str(found.examples[0]["shared"])
    assert "ref-" not in str(found.examples[0]["without"])
    assert FitConfig.parse(found.fix.patch, "fix").stages[0].kind == "augment"


def test_the_same_pairs_do_no_harm_to_a_model_that_reads_the_words_too() -> None:
    found = diagnose(made(1.0, weight=0.2))
    assert found.verdict == "ok"
    assert found.figures["decided_by_surface"] == pytest.approx(1.0)
    assert found.figures["masked_drop"] < 0.05
    assert found.figures["swap_rate"] < 0.1


def test_few_identifiers_are_no_shortcut_however_much_they_count() -> None:
    found = diagnose(made(0.2, weight=50.0))
    assert found.verdict == "ok"
    assert found.figures["shares_surface"] == pytest.approx(0.2)


def test_pairs_alone_have_a_verdict_before_any_training() -> None:
    evidence = made(1.0, weight=1.0)
    found = diagnose(Evidence(evidence.documents, train=evidence.train))
    assert found.verdict == "fail"
    assert "masked_drop" not in found.figures


def test_too_little_says_what_it_needs() -> None:
    assert "at least 30 judged queries, found 5" in diagnose(made(1.0, weight=1.0, queries=5)).summary
    found = diagnose(made(0.0, weight=1.0, train=False))
    assert found.verdict == "unknown"
    assert "found 0" in found.summary


def test_paraphrases_are_asked_where_there_are_rules() -> None:
    evidence = made(0.2, weight=1.0)
    rewriting = Evidence(evidence.documents, test=evidence.test, train=evidence.train, model=evidence.model,
                         paraphrase=lambda query: query.replace("what is said", "tell me"))  # fmt: skip
    assert abs(diagnose(rewriting).figures["paraphrase_drop"]) < 0.2
    lost = Evidence(evidence.documents, test=evidence.test, train=evidence.train, model=evidence.model,
                    paraphrase=lambda query: "here is told")  # fmt: skip
    assert diagnose(lost).figures["paraphrase_drop"] > 0.8


def test_words_are_in_small_letters() -> None:
    assert words("Find a.txt") == {"find", "a", "txt"}
