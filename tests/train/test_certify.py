"""certify agrees with itself where steps are right, and says so where one is wrong."""

import json
from itertools import product

import pytest
import torch

import nearfar
from command_line import nearfar as command
from command_line import write_pairs
from nearfar.core.errors import BadInput
from nearfar.losses import LOSSES
from nearfar.train import certify as steps
from nearfar.train.certify import LIMIT, VARIANTS, Check, relative
from nearfar.train.objective import TrainObjective
from tiny_models import pairs

BOTH_WAYS = ["query_to_document", "document_to_query"]
CHOSEN = ["--loss", "info_nce", "--loss", "triplet"]
SMALL = ["--static.dimension", "32", "--static.vocabulary", "400"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("data") / "pairs.jsonl")


def test_every_loss_agrees_in_all_steps(data):
    config = {"static.dimension": 32, "static.vocabulary": 400}
    found = nearfar.certify(str(data), base="static", config=config)
    combinations = [(check.loss, check.variant, check.accumulation) for check in found.checks]
    assert sorted(combinations) == sorted(product(LOSSES, VARIANTS, (True, False)))
    assert found.ok, [check for check in found.checks if not check.ok]


def test_all_steps_of_a_transformer_agree(data, tiny_folder):
    chosen = ("info_nce", "triplet", "cosent")  # a kind each; the others with a table
    found = nearfar.certify(str(data), base=str(tiny_folder), config={"train.directions": BOTH_WAYS}, losses=chosen)
    combinations = {(check.loss, check.variant, check.dropout, check.accumulation) for check in found.checks}
    assert combinations == set(product(chosen, VARIANTS, (True, False), (True, False)))
    assert len(found.checks) == len(combinations)
    assert found.ok
    assert found.micro_batches >= 6
    assert 0 < max(check.difference for check in found.checks) <= LIMIT
    assert not torch.distributed.is_initialized()


def test_a_wrong_gradient_is_found(data, monkeypatch):
    """The cached step is made wrong by one part in a thousand; the others stay right."""
    right = steps.step

    def wrong(model, batch, loss, policy):
        result = right(model, batch, loss, policy)
        if isinstance(loss, TrainObjective):  # the cached variant; the streaming one has a function
            for parameter in model.model.parameters():
                parameter.grad *= 1.001
        return result

    monkeypatch.setattr(steps, "step", wrong)
    done = command("certify", "--data", data, "--base", "static", *SMALL, "--json", *CHOSEN, "--loss", "pearson")
    assert done.code == 1, done
    found = json.loads(done.out)
    assert not found["ok"]
    shared = [check for check in found["checks"] if LOSSES[check["loss"]].separable]  # others stream as they are cached
    assert {check["variant"] for check in shared if not check["ok"]} == {"cached"}
    assert {check["variant"] for check in shared if check["ok"]} == {"streaming", "processes"}


def test_gradients_that_are_no_numbers_are_null_in_json(data, monkeypatch):
    """JSON has no NaN and no Infinity."""
    right = steps.step

    def wrong(model, batch, loss, policy):
        result = right(model, batch, loss, policy)
        for parameter in model.model.parameters():
            parameter.grad *= float("nan") if isinstance(loss, TrainObjective) else float("inf")
        return result

    monkeypatch.setattr(steps, "step", wrong)
    done = command("certify", "--data", data, "--base", "static", *SMALL, "--json", *CHOSEN, "--loss", "pearson")
    assert done.code == 1, done
    found = json.loads(done.out, parse_constant=pytest.fail)
    differences = {check["variant"]: check["difference"] for check in found["checks"]}
    assert {variant for variant, value in differences.items() if value is None} == {"cached", "streaming"}
    assert not found["ok"]


def test_a_gradient_that_is_no_number_is_no_agreement():
    nan = float("nan")
    assert not Check("info_nce", "cached", dropout=False, accumulation=False, difference=nan, loss_difference=0).ok
    assert not Check("info_nce", "cached", dropout=False, accumulation=False, difference=0, loss_difference=nan).ok


def test_no_difference_is_none_even_from_zero():
    assert relative(0.0, 0.0) == 0
    assert relative(1e-9, 0.0) == float("inf")
    assert relative(1.0, 4.0) == 0.25
    assert relative(float("nan"), 1.0) != relative(float("nan"), 1.0)


def test_the_table_for_people(data):
    done = command("certify", "--data", data, "--base", "static", *SMALL, "--pairs", "12", *CHOSEN)
    assert done.code == 0, done
    assert len([line for line in done.out.splitlines() if line.rstrip().endswith("ok")]) == 2 * len(VARIANTS) * 2
    assert "all 12 agree with the plain step to 1e-05: static, 12 pairs in " in done.out
    assert "the model has no dropout" in done.out


@pytest.mark.slow
def test_without_data_a_batch_is_made():
    found = nearfar.certify(
        base="static", config={"static.dimension": 16, "static.vocabulary": 500}, pairs=8, losses=["focal"]
    )
    assert found.ok
    assert found.pairs == 8


def test_too_few_pairs_are_refused():
    with pytest.raises(BadInput, match="pairs: expected at least 4, found 3; give more"):
        nearfar.certify(pairs(10), pairs=3)


def test_a_second_process_that_does_not_start_is_told(data, monkeypatch):
    monkeypatch.setattr(steps, "_second", slice)  # it returns at once
    config = {"static.dimension": 32, "static.vocabulary": 400}
    with pytest.raises(BadInput, match=r"expected a second process, found its end with exit code 0; call it under `if"):
        nearfar.certify(str(data), base="static", config=config)
