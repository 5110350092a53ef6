"""What a loss must be told: found in the data, handed to every batch, and missed in one line."""

import json

import numpy as np
import pytest

from command_line import nearfar as command
from nearfar.core.errors import BadInput
from nearfar.data.batches import batch_source
from nearfar.data.beir import read_beir, write_beir
from nearfar.data.config import DataConfig
from nearfar.data.intake import Intake
from nearfar.data.read import from_records
from nearfar.losses import LOSSES, Loss
from nearfar.train.config import TrainConfig
from nearfar.train.needs import NEEDS, check_needs

SCORED = [  # 2.5 is half of the highest score: what is above it is relevant
    {"query": f"query {i}", "positive": f"document {i + shift}", "score": score}
    for i in range(4)
    for shift, score in enumerate((5.0, 3.0, 2.0, 0.5))
]


def stated(targets, source, what):
    """{(query, document): value} of a batch's judgements, by texts."""
    found = getattr(targets, what)
    rows, columns = found.documents.row_of_value(), found.documents.values
    texts = [source.texts[i] for i in targets.query_texts], [source.texts[i] for i in targets.document_texts]
    return {(texts[0][r], texts[1][c]): v for r, c, v in zip(rows, columns, found.values.tolist(), strict=True)}


def test_a_batch_is_told_the_grades_as_given():
    source = batch_source(from_records(SCORED), {"grades", "negatives"})
    assert len(source) == len(SCORED)  # the irrelevant pairs too
    batch = source.batch(np.arange(len(source)), 0, (0,))
    expected = {(row["query"], row["positive"]): row["score"] for row in SCORED}
    assert stated(batch.targets, source, "grades") == expected
    negatives = batch.targets.negatives
    assert sum(negatives.lengths) == sum(score <= 2.5 for score in expected.values())
    part = batch.targets.rows(1, 3)
    assert stated(part, source, "grades") == {
        pair: v for pair, v in expected.items() if pair[0] in ("query 1", "query 2")
    }


def test_documents_outside_the_batch_are_left_out():
    source = batch_source(from_records(SCORED), {"grades"})
    one = source.batch(np.array([0]), 0, (0,))
    assert list(stated(one.targets, source, "grades").values()) == [5.0]


def test_nothing_is_told_that_nobody_asked_for():
    targets = batch_source(from_records(SCORED)).batch(np.array([0, 1]), 0, (0,)).targets
    assert (targets.negatives, targets.grades, targets.teachers, targets.task) == (None, None, None, "")


def test_judgements_stand_in_for_grades():
    rows = [("a", "x", "n"), ("b", "y", "n")]
    source = batch_source(from_records(rows), {"grades"})
    batch = source.batch(np.arange(len(source)), 0, (0,))
    assert stated(batch.targets, source, "grades") == {
        ("a", "x"): 1.0, ("a", "n"): 0.0, ("b", "y"): 1.0, ("b", "n"): 0.0,
    }  # fmt: skip


def test_what_is_stated_survives_a_folder(tmp_path):
    made = from_records(SCORED)
    write_beir(made, tmp_path / "set")
    again = read_beir(tmp_path / "set", Intake(DataConfig()))
    assert again.digest() == made.digest()
    assert again.grades.scores.tolist() == [row["score"] for row in SCORED]


def test_the_task_of_a_batch_of_one_task():
    rows = [{"query": f"q{i}", "positive": f"d{i}", "task": "faq" if i < 2 else "code"} for i in range(4)]
    source = batch_source(from_records(rows))
    assert [source.batch(np.array(part), 0, (0,)).targets.task for part in ([0, 1], [2, 3], [1, 2])] == [
        "faq",
        "code",
        "",
    ]


@pytest.mark.parametrize("need", list(NEEDS))
def test_what_is_missing_is_said(need, monkeypatch):
    monkeypatch.setitem(LOSSES, "wanting", Loss(lambda: None, "", "", needs=(need,)))
    config = TrainConfig(batch_by="task", task_losses={"faq": {"wanting": {}}})
    source = batch_source(from_records([("a", "x"), ("b", "y")]), config.needs)
    with pytest.raises(BadInput) as error:
        check_needs(source, config)
    _, what, how = NEEDS[need]
    line = f"train.task_losses.faq: expected training data with {what}, for wanting, found none; {how}"
    assert str(error.value) == line


def test_every_loss_is_listed():
    done = command("list", "losses", "--json")
    assert done.code == 0, done
    listed = json.loads(done.out)["losses"]
    assert [entry["name"] for entry in listed] == list(LOSSES)
    assert all(entry["purpose"] and entry["source"] for entry in listed)
    everything = command("list").out
    assert all(name in everything for name in ("info_nce", "latent_attention", "balanced", "greedy", "losses:"))
    wrong = command("list", "loses")
    assert wrong.code == 2
    assert "list: expected one of its registries, found 'loses'; did you mean 'losses'?" in wrong.err
