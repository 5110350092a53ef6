"""`torchrun -m nearfar fit`: two processes of the command line make one run."""

import os
import signal
import subprocess
import sys
import time

import pytest

from command_line import finished, nearfar, options, write_pairs
from nearfar.pipeline.run import Run


def torchrun(*arguments, processes=2):
    """Start `nearfar ARGUMENTS` in several processes of one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [*launcher, "-m", "nearfar", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def said(done):
    """What nearfar said, without torchrun's own lines."""
    return [line for line in done.err.splitlines() if line.startswith("nearfar: ")]


pytestmark = pytest.mark.slow  # every process imports torch


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("data") / "pairs.jsonl")


def test_two_processes_make_the_run_of_one(data, tmp_path):
    changes = {"train.learn_temperature": True, "train.mine.every_steps": 5}
    arguments = ["--base", "static", "--data", data, *options(**changes)]
    one = nearfar("fit", *arguments, "--out", tmp_path / "one")
    assert one.code == 0, one.err
    two = finished(torchrun("fit", *arguments, "--out", tmp_path / "two"))
    assert two.code == 0, two.err
    assert two.out.count("The trained model is") == 1
    assert two.err.count("computing on cpu") == 1
    assert two.err.count("mined ") == one.err.count("mined ") > 0
    alone, together = (Run.open(tmp_path / name) for name in ("one", "two"))
    assert together.record["policy"]["processes"] == 2
    assert together.record["losses"] == pytest.approx(alone.record["losses"], rel=1e-4)
    assert sorted(path.name for path in together.path.iterdir()) == sorted(path.name for path in alone.path.iterdir())
    assert together.index.search("open close", k=1)


def test_too_many_processes_are_refused_in_one_line(data, tmp_path):
    arguments = ["--base", "static", "--data", data, *options(**{"train.batch_size": 2})]
    done = finished(torchrun("fit", *arguments, "--out", tmp_path / "run", processes=3))
    (line,) = said(done)
    assert line.endswith("torchrun: expected at most 2 processes, one for each of the 2 pairs of a batch, found 3; "
                         "start fewer processes or raise train.batch_size")  # fmt: skip
    assert "exitcode  : 2" in done.err
    assert not (tmp_path / "run").exists()


def test_bad_options_are_said_once(tmp_path):
    done = finished(torchrun("fit", "--data", tmp_path / "none.jsonl", "--train.epoch", "3"))
    (line,) = said(done)
    assert "did you mean 'epochs'?" in line


def test_ctrl_c_writes_a_checkpoint_that_one_process_goes_on_from(data, tmp_path):
    run = tmp_path / "run"
    changes = {"train.epochs": 40, "train.checkpoint_minutes": 0, "train.patience": 99}
    process = torchrun("fit", "--base", "static", "--data", data, *options(**changes), "--out", run)
    until = time.monotonic() + 120
    while not [*run.glob("checkpoints/step-*")]:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    done = finished(process)
    (line,) = said(done)
    assert "interrupted after step " in line
    assert "of 480; go on with --resume" in line
    again = nearfar("fit", "--out", run, "--resume")
    assert again.code == 0, again.err
    assert "other numbers of processes or threads than before: the same but for rounding" in again.err
    assert len(Run.open(run).record["losses"]) == 480
