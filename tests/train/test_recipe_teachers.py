"""Stages around teachers: a cross-encoder from the pairs, its scores, and a loss that distils them."""

import json

import numpy as np
import pytest
from test_recipes import Lines, names

import nearfar
from command_line import SMALL
from command_line import nearfar as call
from nearfar.core.artifact import read_meta
from nearfar.core.errors import NearfarError
from nearfar.pipeline.graph import KIND
from tiny_models import pairs

SETTINGS = {**SMALL, "rerank.batch_size": 8, "rerank.depth": 10, "rerank.evaluations": 1, "rerank.max_tokens": 64,
            "train.checkpoint_minutes": 0}  # fmt: skip
TRAIN = {"kind": "train", "epochs": 1, "hard_negatives": 2}


def stages(base, loss):
    return [TRAIN, {"kind": "mine", "negatives": 2}, {"kind": "rerank", "base": str(base)}, {"kind": "teach"},
            {**TRAIN, "loss": loss}]  # fmt: skip


def fit(out, steps, mode="new", **changes):
    told = Lines()
    config = {**SETTINGS, "stages": steps, **changes}
    return nearfar.fit(pairs(60), base="static", out=out, config=config, mode=mode, reporter=told), told


@pytest.fixture(scope="module")
def taught(tiny_folder, tmp_path_factory):
    return fit(tmp_path_factory.mktemp("taught") / "run", stages(tiny_folder, "kl_distillation"))


def test_a_cross_encoder_teaches(taught):
    run, told = taught
    assert [line["kind"] for line in run.record["stages"]] == ["train", "mine", "rerank", "teach", "train"]
    places = [run.path / "stages" / name for name in names(run)]
    assert (places[2] / "reranker" / "model.safetensors").exists()
    said = read_meta(places[3], KIND)
    assert (said["pairs"], said["scored"]) == (48 * 3, [48 * 3])  # a positive and two mined negatives each
    kept = [np.load(path) for path in (run.path / "data" / "teachers").rglob("rows.npy")]
    assert [scores.shape for scores in kept] == [(48 * 3,)]  # scored once, and read by the training after it
    assert kept[0].std() > 1e-3
    assert not (run.path / "checkpoints").exists()
    assert not list(run.path.rglob("*.training"))
    assert "stage 3 of 5, rerank: a cross-encoder from" in "\n".join(told.lines)


def test_another_loss_does_not_train_the_teacher_again(taught, tiny_folder):
    run, told = fit(taught[0].path, stages(tiny_folder, "margin_mse"), mode="resume")
    assert (told.found(), told.made()) == ([1, 2, 3, 4], [5])
    assert run.record["losses"] != taught[0].record["losses"]


def test_without_teachers_the_loss_says_what_it_needs(tmp_path):
    with pytest.raises(NearfarError) as error:
        fit(tmp_path / "run", [TRAIN, {"kind": "mine"}, {**TRAIN, "loss": "kl_distillation"}])
    assert str(error.value).startswith("stage 3 (train): train.loss: expected training data with scores of a teacher")
    assert str(error.value).endswith("; what the 2 before it made is kept; go on with --resume")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([{"kind": "teach"}, TRAIN], "stages.0: expected a stage of kind rerank before it, for 'reranker', found none"),
        ([{"kind": "rerank", "epoch": 1}, TRAIN], "stages.0: expected a known key, found 'epoch'; did you mean"),
        (
            [{"kind": "rerank", "out": "x"}, TRAIN],
            "stages.0: expected settings of one stage, found 'out', which is the",
        ),
        ([{"kind": "teach", "models": []}, TRAIN], "'stages.0.teach.models': expected"),
    ],
)
def test_bad_stages(given, words, tmp_path):
    done = call("fit", "--data", "x.jsonl", "--out", tmp_path / "run", "--stages", json.dumps(given))
    assert (done.code, len(done.lines)) == (2, 1)
    assert words in done.lines[0]
