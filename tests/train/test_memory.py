"""A batch that cannot fit is refused with the largest that can; free memory is made up."""

from dataclasses import replace
from functools import partial
from unittest import mock

import numpy as np
import pytest
import torch
from test_loop import trainer

import nearfar.pipeline.session
from command_line import nearfar, options, write_pairs
from nearfar.core.errors import BadInput
from nearfar.encoder.precision import Policy
from nearfar.train import memory
from nearfar.train.config import TrainConfig
from nearfar.train.estimate import with_kept_memory
from nearfar.train.memory import GIB, Need, check_fits, free_bytes, memory_told, need_of
from nearfar.train.sharding import clip_gradients

NEED = Need(states=1000, token=10, pair=50, pair_tokens=20, row_tokens=12, batch_size=64, budget_tokens=400)


def refusal(do):
    with pytest.raises(BadInput) as caught:
        do()
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({}, 1000 + 64 * 50 + 400 * 10),
        ({"batch_size": 3}, 1000 + 3 * 50 + 60 * 10),  # the batch has fewer tokens than the budget
        ({"budget_tokens": 5}, 1000 + 64 * 50 + 12 * 10),  # one row is a micro-batch at least
        ({"keep_bytes": 700}, 1000 + 64 * 50 + 400 * 10 + 700),
        ({"keep_bytes": 1 << 40}, 1000 + 64 * 50 + 400 * 10 + 64 * 20 * 10),  # no more than there is to keep
        ({"row": 3, "table": 9000}, 1000 + 64 * 20 * 3 + 64 * 50 + 400 * 10),  # a row of the table for each token
        ({"row": 3, "table": 900}, 1000 + 900 + 64 * 50 + 400 * 10),  # no more rows than the table has
    ],
)
def test_the_size_is_what_a_hand_adds_up(changes, size):
    assert replace(NEED, **changes).size == size


@pytest.mark.parametrize("room", range(1100, 8200, 333))
@pytest.mark.parametrize("name", ["batch_size", "budget_tokens"])
def test_the_advice_is_the_largest_that_fits(name, room):
    lowest = 2 if name == "batch_size" else NEED.row_tokens
    fits = [n for n in range(lowest, getattr(NEED, name)) if replace(NEED, **{name: n}).size <= room]
    words = NEED.advice(room).replace("set ", "").split(", or ")
    told = [word for word in words if word.startswith(f"train.{name} to at most ")]
    assert told == ([f"train.{name} to at most {max(fits)}"] if fits else [])


def test_kept_memory_is_the_first_thing_to_lower():
    need = replace(NEED, keep_bytes=2 * GIB, batch_size=1 << 30)
    room = need.size - GIB
    assert need.advice(room).startswith("set train.keep_gib to at most 1.000, or ")


def test_nothing_fits():
    assert NEED.advice(1000).startswith("choose a smaller base, or lower train.max_document_tokens")


def test_what_is_needed_of_a_model(tiny):
    need = need_of(tiny, TrainConfig(batch_size=100, hard_negatives=2), Policy(budget_tokens=512), 30)
    weights = sum(parameter.numel() for parameter in tiny.model.parameters())
    copies = 3 + tiny.crew_size - 1  # gradient and two moments, and a gradient of every other thread
    assert (need.states, need.batch_size) == (copies * 4 * weights, 30)
    assert (need.pair_tokens, need.row_tokens) == (64 + 3 * 64, 64)  # the model reads no more
    assert need.pair == 4 * 32 * 6 * 4
    more = {"queue": {"size": 7, "momentum": 0.9}, "mixed_negatives": {"count": 5}}
    mixed = need_of(tiny, TrainConfig(batch_size=100, hard_negatives=2, **more), Policy(budget_tokens=512), 30)
    assert (mixed.states, mixed.pair) == ((copies + 1) * 4 * weights + 4 * 32 * 7, (4 + 5) * 32 * 6 * 4)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_what_a_token_table_takes_is_what_a_step_leaves(static, tmp_path, accumulate):
    """The moments of the table, and a gradient that holds fewer rows than it has."""
    kept = []
    lengths = {"max_query_tokens": 8, "max_document_tokens": 8, "hard_negatives": 0}
    run = trainer(tmp_path, encoder=static, batch_size=6, accumulate=accumulate, **lengths)

    def watched(parameters, norm):
        kept.extend(p.grad.values().nbytes for p in parameters if p.grad is not None and p.grad.is_sparse)
        return clip_gradients(parameters, norm)

    with mock.patch("nearfar.train.loop.clip_gradients", watched):
        run.run()
    need = need_of(static, run.config, Policy(), 48)
    state = run.optimizer.state_dict()["state"].values()
    assert need.states == sum(values["exp_avg_sq"].nbytes for values in state)
    assert need.row == accumulate * 4 * 32
    assert 0 < max(kept) <= min(6 * need.pair_tokens * need.row, need.table)
    assert need.table == static.model[0].embedding.weight.nbytes
    several = need_of(static, run.config, Policy(), 48, processes=2)
    assert (several.row, several.table) == (2 * need.row, 2 * need.table)


def test_a_frozen_table_has_no_gradient(static):
    static.model.requires_grad_(requires_grad=False)
    need = need_of(static, TrainConfig(), Policy(), 48)
    assert (need.states, need.row, need.table) == (0, 0, 0)


def test_a_batch_that_fits_is_let_through(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda *_: NEED.size)
    check_fits(NEED, "cpu")
    monkeypatch.setattr(memory, "free_bytes", lambda *_: 0)  # unknown
    check_fits(NEED, "cpu")
    monkeypatch.setattr(memory, "free_bytes", lambda *_: NEED.size - 1)
    assert "found 64 pairs, which take about 0.00 GiB; set train.batch_size to at most 63" in refusal(
        lambda: check_fits(NEED, "cpu")
    )


def test_fit_refuses_before_anything_is_written(tmp_path):
    data = write_pairs(tmp_path / "pairs.jsonl")
    command = ["fit", "--base", "static", "--data", data, "--out", tmp_path / "run"]
    with mock.patch.object(memory, "free_bytes", return_value=200_000):
        done = nearfar(*command, *options(train__batch_size=64, train__budget_tokens=2000))
    assert (done.code, len(done.lines)) == (2, 1)
    assert "train.batch_size: expected a batch that fits into 0.00 GiB of free memory, found 64 pairs" in done.lines[0]
    assert not (tmp_path / "run").exists()
    fits = int(done.lines[0].partition("train.batch_size to at most ")[2].partition(",")[0])
    with mock.patch.object(memory, "free_bytes", return_value=200_000):
        assert nearfar(*command, *options(train__batch_size=fits, train__epochs=1)).code == 0


def run_out(kind, *_):
    """Trouble as torch raises it, on either device, and Python and numpy do."""
    if kind == "cuda":
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    torch.empty(1 << 55) if kind == "torch" else np.empty(1 << 55)


@pytest.mark.parametrize("kind", ["cuda", "torch", "numpy"])
@pytest.mark.parametrize("kept", [0, GIB])
def test_memory_that_runs_out_is_told(kind, kept):
    def work():
        with memory_told(NEED, Policy(keep_bytes=kept)):
            run_out(kind)

    line = refusal(work)
    assert line.startswith("train.batch_size: expected a batch that fits into memory, found 64 pairs and: ")
    assert ("go on with --resume --train.keep_gib 0.500, or set" in line) == bool(kept)
    batch = int(line.partition("train.batch_size to at most ")[2].partition(",")[0])
    half = 1000 + (NEED.size - 1000) // 2
    assert replace(NEED, batch_size=batch).size <= half < replace(NEED, batch_size=batch + 1).size


@pytest.mark.parametrize("error", [RuntimeError("expected scalar type Float"), ValueError("out of memory")])
def test_other_trouble_passes(error):
    with pytest.raises(type(error)), memory_told(NEED, Policy()):
        raise error


def test_fit_tells_when_memory_runs_out_in_a_step(tmp_path):
    data = write_pairs(tmp_path / "pairs.jsonl")
    command = ["fit", "--base", "static", "--data", data, "--out", tmp_path / "run"]
    with mock.patch("nearfar.train.distributed.step", partial(run_out, "torch")):
        done = nearfar(*command, *options())
    assert done.code == 2
    assert done.lines[-1].startswith("nearfar: train.batch_size: expected a batch that fits into memory, found 8 pairs")
    assert "Traceback" not in done.err


def test_what_is_kept_is_fixed_when_a_run_starts(monkeypatch):
    monkeypatch.setattr("nearfar.train.estimate.free_bytes", lambda *_: 3 * GIB)
    started = with_kept_memory(Policy(), TrainConfig())
    assert started.keep_bytes == GIB
    monkeypatch.setattr("nearfar.train.estimate.free_bytes", lambda *_: 30 * GIB)
    assert with_kept_memory(Policy(), TrainConfig(), started.keep_bytes).keep_bytes == GIB
    assert with_kept_memory(Policy(), TrainConfig(keep_gib=0), started.keep_bytes).keep_bytes == 0  # given anew
    assert with_kept_memory(Policy(), TrainConfig(), 0).keep_bytes == 0


def test_a_containers_limit_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    unlimited = free_bytes("cpu")
    if not unlimited:
        pytest.skip("needs /proc/meminfo")
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("4000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 700\n")
    assert free_bytes("cpu") == 1700
    assert free_bytes("cpu", 2) == 850
    (tmp_path / "memory.max").write_text("max\n")
    assert free_bytes("cpu") > 1700
