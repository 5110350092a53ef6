"""Flipped bytes in a checkpoint are found, and the one before it is used."""

import pytest
from test_loop import interrupted, refusal, same, scores, trainer, weights

from nearfar.train.checkpoint import Checkpoints

FILES = ["weights.safetensors", "optimizer.safetensors", "random.safetensors", "manifest.json"]


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def ends_as_if_nothing_had_been(run, tmp_path):
    whole = trainer(tmp_path / "whole", evaluations=6, on_eval=scores(*range(9)))
    assert run.run().losses == whole.run().losses
    assert same(weights(run), weights(whole))


@pytest.mark.parametrize("name", FILES)
def test_after_a_damaged_checkpoint_the_one_before_it_is_used(tmp_path, name):
    """Its best weights, which the damaged one no longer names, are still there."""
    folder = tmp_path / "cut"
    interrupted(folder, checkpoint_minutes=0, evaluations=6, on_eval=scores(*range(9)), after=8)
    names = ["best-00000006", "best-00000008", "step-00000007", "step-00000008"]
    assert sorted(path.name for path in folder.iterdir()) == names
    flip(folder / "step-00000008" / name)
    found = Checkpoints(folder).newest()
    assert found.step == 7
    assert [error.where for error in found.damaged] == [str(folder / "step-00000008" / name)]
    run = trainer(folder, evaluations=6, on_eval=scores(*range(4, 9)))
    run.resume()
    assert run.progress.step == 7
    assert not (folder / "step-00000008").exists()
    ends_as_if_nothing_had_been(run, tmp_path)


def test_a_checkpoint_with_damaged_best_weights_is_passed_over(tmp_path):
    folder = tmp_path / "cut"
    interrupted(folder, checkpoint_minutes=0, evaluations=6, on_eval=scores(*range(9)), after=8)
    flip(folder / "best-00000008" / "weights.safetensors")
    run = trainer(folder, evaluations=6, on_eval=scores(*range(4, 9)))
    run.resume()
    assert run.progress.step == 7
    ends_as_if_nothing_had_been(run, tmp_path)


def test_only_damaged_checkpoints_are_refused(tmp_path):
    interrupted(tmp_path, checkpoint_minutes=0)
    flip(tmp_path / "step-00000002" / "weights.safetensors")
    flip(tmp_path / "step-00000003" / "manifest.json")
    line = refusal(trainer(tmp_path).resume)
    assert line.startswith(f"{tmp_path}: expected a checkpoint as it was written, found ")
    assert str(tmp_path / "step-00000002" / "weights.safetensors") in line
    assert str(tmp_path / "step-00000003" / "manifest.json") in line
    assert line.endswith("; start the run again with --overwrite")


def test_best_weights_damaged_at_the_end_are_refused(tmp_path):
    def damage(progress, *_):
        if progress.step == 12:
            flip(tmp_path / "best-00000000" / "weights.safetensors")

    run = trainer(tmp_path, on_step=damage)
    line = refusal(run.run)
    assert line.startswith(f"{tmp_path / 'best-00000000' / 'weights.safetensors'}: expected the best weights")


def test_few_files_are_kept(tmp_path):
    trainer(tmp_path, checkpoint_minutes=0, on_eval=scores(*range(9)), evaluations=6).run()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "best-00000010", "best-00000012", "step-00000011", "step-00000012"
    ]  # fmt: skip
