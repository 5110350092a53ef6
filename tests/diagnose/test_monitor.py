"""What the monitor says of made-up courses, and that it sees a run that is made to fail."""

from unittest import mock

import numpy as np
import pytest

import nearfar
from nearfar.diagnose.monitor import every, of_dev, of_losses, of_vectors, probe_size
from nearfar.encoder.encode import encode
from tiny_models import pairs

SMALL = {"static.dimension": 32, "static.vocabulary": 400, "train.batch_size": 16, "train.epochs": 4,
         "eval.dev_documents": 50, "train.patience": 99}  # fmt: skip
COLLAPSING = {"train.loss": {"info_nce": 0.01, "alignment": 1.0}, "train.learning_rate": 0.1}


@pytest.mark.parametrize("batch", [1, 8, 16, 17, 64, 127, 256, 1030, 2048, 8192])
def test_the_probe_costs_at_most_its_share(batch):
    texts = probe_size(batch)
    forward = 2 * batch  # texts of a step: a query and a document for each pair
    step = forward + 2 * forward  # a backward pass takes as long as two forward
    steps = every(batch, texts)
    share = texts / (steps * step)
    assert 8 <= texts <= 64
    assert share <= 0.0105  # 1 %, the cost rounded to thousandths of a step
    assert steps == 1 or texts / ((steps - 1) * step) > 0.0095  # and no rarer than that takes


def test_a_run_is_probed_as_often_as_that(tmp_path):
    encoded = []

    def counted(encoder, texts, *more, **named):
        encoded.append(len(texts))
        return encode(encoder, texts, *more, **named)

    with mock.patch("nearfar.pipeline.watch.encode", counted):
        record = nearfar.fit(pairs(120), base="static", out=tmp_path / "run", config=SMALL).record
    looks = {step for step in range(1, record["steps"] + 1) if step % every(16, probe_size(16)) == 0}
    evaluated = {step for step, _ in record["dev"] if step}
    assert 1 < len(looks) < record["steps"] / 5
    assert encoded == [probe_size(16)] * (1 + len(looks | evaluated))  # once before training


def test_vectors_in_one_place_are_seen():
    rows = np.random.default_rng(0).standard_normal((64, 32)).astype(np.float32)
    assert of_vectors(3, rows, rows) is None
    assert of_vectors(3, rows + 9, rows + 9) is None  # as the base was
    alarm = of_vectors(3, rows + 9, rows)
    assert (alarm.step, alarm.failure) == (3, "collapse")


def test_a_loss_that_shot_up_is_seen():
    assert of_losses([4.0, 4.5, 2.0], 4.0) is None
    assert of_losses([], 4.0) is None
    assert of_losses([0.2, 1.5], 4.0) is None  # a trained base: noise beside what a guess has
    assert of_losses([4.0, 9.0], 4.0).step == 2


@pytest.mark.parametrize(
    ("dev", "seen"),
    [
        ([(0, 0.2), (5, 0.5), (10, 0.6)], False),
        ([(0, 0.2), (5, 0.6), (10, 0.5)], False),  # one evaluation is not a trend
        ([(0, 0.2), (5, 0.6), (10, 0.55), (15, 0.5)], True),
        ([(0, 0.2), (5, 0.6), (10, 0.595), (15, 0.59)], False),
    ],
)
def test_quality_that_has_peaked_is_seen(dev, seen):
    assert bool(of_dev(dev, 400)) == seen
    assert of_dev(dev, 20) is None  # so few queries may differ by as much


@pytest.mark.parametrize(("monitor", "stopped"), [("warn", False), ("stop", True), ("off", False)])
def test_a_run_that_collapses_is_told_or_stopped(tmp_path, monitor, stopped):
    config = SMALL | COLLAPSING | {"train.monitor": monitor}
    run = nearfar.fit(pairs(120), base="static", out=tmp_path / "run", config=config)
    assert bool(run.record["alarms"]) == (monitor != "off")
    assert (run.record["steps"] < 15) == stopped
    assert not run.record["alarms"] or run.record["alarms"][0][1] == "collapse"


def test_stages_hand_on_their_alarms_and_stop(tmp_path):
    stages = [{"kind": "train", "epochs": 2}, {"kind": "train", "epochs": 2}]
    config = SMALL | COLLAPSING | {"stages": stages}
    run = nearfar.fit(pairs(120), base="static", out=tmp_path / "run", config=config)
    assert run.record["alarms"]
    assert len(run.record["stages"]) == 2
    stopped = nearfar.fit(
        pairs(120), base="static", out=tmp_path / "stopped", config=config | {"train.monitor": "stop"}
    )
    assert len(stopped.record["stages"]) == 1


@pytest.mark.parametrize("batch", [8, 16])
def test_noise_of_small_batches_is_no_alarm(tmp_path, batch):
    config = SMALL | {"train.batch_size": batch}
    first = nearfar.fit(pairs(300), base="static", out=tmp_path / "run", config=config)
    again = nearfar.fit(pairs(300), base=str(tmp_path / "run"), out=tmp_path / "more", config=config)
    assert first.record["alarms"] == again.record["alarms"] == ()


def test_a_healthy_run_is_left_alone(tmp_path):
    run = nearfar.fit(pairs(120), base="static", out=tmp_path / "run", config=SMALL)
    assert run.record["alarms"] == ()
