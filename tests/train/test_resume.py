"""A killed run that goes on ends with the bytes of one that was left alone."""

import hashlib
import json
import random
import signal
import subprocess
import time

import pytest

from command_line import finished, nearfar, options, spawn, tree, write_pairs

SETTINGS = {"train.checkpoint_minutes": 0, "train.evaluations": 5}


@pytest.fixture(scope="module", params=["static", "bert"])
def base(request, tiny_folder):
    return "static" if request.param == "static" else str(tiny_folder)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("data") / "pairs.jsonl")


def arguments(base, data, out):
    return ["fit", "--base", base, "--data", data, "--out", out, *options(**SETTINGS)]


def digest(run):
    (weights,) = (run / "model").rglob("*.safetensors")
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def record(run):
    return json.loads((run / "run.json").read_text())


@pytest.fixture(scope="module")
def whole_of(data, tmp_path_factory):
    """An uninterrupted run of a base, made once."""
    made = {}

    def make(base):
        if base not in made:
            made[base] = tmp_path_factory.mktemp("whole") / "run"
            done = finished(spawn(*arguments(base, data, made[base])))
            assert done.code == 0, done.err
        return made[base]

    return make


@pytest.fixture
def whole(base, whole_of):
    return whole_of(base)


def wait_for(condition, process: subprocess.Popen) -> None:
    until = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.0005)


def steps_done(run):
    return max((int(path.name.removeprefix("step-")) for path in run.glob("checkpoints/step-*")), default=0)


def kill(process, run, step, delay):
    """Kill -9 `delay` seconds after the checkpoint of `step`; step 0 is the beginning of the run folder."""
    wait_for(lambda: steps_done(run) >= step if step else (run / "started.json").exists(), process)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (run / "run.json").exists()


def assert_the_same(run, whole):
    assert digest(run) == digest(whole)
    ours, theirs = record(run), record(whole)
    for key in ("losses", "dev", "steps", "best_step", "fingerprint", "metrics"):
        assert ours[key] == theirs[key], key


def kill_often(base, data, run, whole, moments):
    process = spawn(*arguments(base, data, run))
    for step, delay in moments:
        kill(process, run, step, delay)
        process = spawn("fit", "--out", run, "--resume")
    done = finished(process)
    assert done.code == 0, done.err
    assert_the_same(run, whole)
    assert not (run / "checkpoints").exists()


def moments_of(seed, count):
    """Steps and delays: the first kill comes before training, the others in its midst."""
    generator = random.Random(seed)
    steps = [0, *sorted(generator.sample(range(1, 20), count - 1))]
    return [(step, generator.uniform(0, 0.05)) for step in steps]


def test_kill_9_and_resume_give_the_same_weights(base, data, whole, tmp_path):
    assert record(whole)["steps"] == 24
    kill_often(base, data, tmp_path / "run", whole, moments_of(1, 3))


@pytest.mark.slow
def test_more_kills(base, data, whole, tmp_path):
    kill_often(base, data, tmp_path / "run", whole, moments_of(2, 4))


MINING = {"train.mine.every_steps": 4, "train.mine.relative_margin": 0.05, "train.mine.sampling": "random"}


def test_kill_9_around_refreshes_of_mined_negatives(data, tmp_path):
    """Killed before, right at and after a refresh (steps 4, 8 …): the same negatives, and so the same weights."""
    arguments_ = ["fit", "--base", "static", "--data", data, *options(**SETTINGS, **MINING)]
    whole, run = tmp_path / "whole", tmp_path / "run"
    done = finished(spawn(*arguments_, "--out", whole))
    assert done.code == 0, done.err
    assert done.err.count("mined ") == 5
    assert digest(whole) != digest_without_mining(data, tmp_path)
    process = spawn(*arguments_, "--out", run)
    for step, delay in ((3, 0.005), (8, 0), (13, 0.01)):
        kill(process, run, step, delay)
        process = spawn("fit", "--out", run, "--resume")
    done = finished(process)
    assert done.code == 0, done.err
    assert_the_same(run, whole)


def digest_without_mining(data, folder):
    done = finished(spawn(*arguments("static", data, folder / "plain")))
    assert done.code == 0, done.err
    return digest(folder / "plain")


def interrupt(process, run, step):
    wait_for(lambda: steps_done(run) >= step, process)
    process.send_signal(signal.SIGINT)
    return finished(process)


def test_ctrl_c_then_refusals_then_resume(data, tmp_path, whole_of):
    """One run, interrupted once: what must not go on does not, and what may ends as if nothing had been."""
    run = tmp_path / "run"
    done = interrupt(spawn(*arguments("static", data, run)), run, 5)
    assert done.code == 130
    assert done.out == ""
    last = done.err.splitlines()[-1]
    assert last.startswith("nearfar: interrupted after step ")
    assert last.endswith("of 24; go on with --resume")
    assert "Traceback" not in done.err

    again = nearfar(*arguments("static", data, run))
    assert (again.code, len(again.lines)) == (2, 1)
    assert "expected a new run folder" in again.lines[0]

    before = tree(run)
    other = nearfar("fit", "--out", run, "--resume", "--train.learning_rate", "0.5", "--train.epochs", "9")
    assert (other.code, len(other.lines)) == (2, 1)  # not a word of progress
    assert other.lines[0].startswith("nearfar: ")
    assert "found a checkpoint of others" in other.lines[0]

    older, newest = sorted(run.glob("checkpoints/step-*"))
    flip(newest / "weights.safetensors")
    flip(older / "optimizer.safetensors")
    damaged = nearfar("fit", "--out", run, "--resume")
    assert (damaged.code, len(damaged.lines)) == (2, 1)
    assert damaged.lines[0].startswith(f"nearfar: {run / 'checkpoints'}: expected a checkpoint as it was written")
    flip(older / "optimizer.safetensors")
    flip(newest / "weights.safetensors")
    assert tree(run) == before

    flip(newest / "weights.safetensors")
    resumed = finished(spawn("fit", "--out", run, "--resume", "--json"))
    assert resumed.code == 0, resumed.err
    assert json.loads(resumed.out) == record(run)
    file = newest / "weights.safetensors"
    assert f"warning: {file}: found other bytes; going on from the checkpoint before it" in resumed.err
    assert f"resumed after step {steps_of(older)} of 24" in resumed.err
    assert_the_same(run, whole_of("static"))


@pytest.mark.parametrize("stated", ["nothing", "data"])
def test_a_resumed_run_does_not_probe_the_precision_anew(data, tmp_path, monkeypatch, stated):
    run, unset = tmp_path / "run", options(**SETTINGS)
    place = unset.index("--train.precision")
    del unset[place : place + 2]
    given = ["--base", "static", "--data", data, *unset]
    done = interrupt(spawn("fit", *given, "--out", run), run, 5)
    assert done.code == 130
    started = json.loads((run / "started.json").read_text())["train"]["precision"]
    other = {"fp32": "bf16", "bf16": "fp32"}[started]
    monkeypatch.setattr("nearfar.encoder.precision.probe", lambda _device: (other, "a busy machine"))
    resumed = nearfar("fit", *(given if stated == "data" else []), "--out", run, "--resume")
    assert resumed.code == 0, resumed.err
    assert record(run)["policy"]["precision"] == started


def flip(path):
    content = path.read_bytes()
    path.write_bytes(content[:99] + bytes([content[99] ^ 1]) + content[100:])


def steps_of(checkpoint):
    return int(checkpoint.name.removeprefix("step-"))
