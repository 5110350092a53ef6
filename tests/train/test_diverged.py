"""Numbers that are not finite stop a run before they change the weights or reach a checkpoint."""

import pytest
import torch
from test_loop import constant, scores, trainer

from nearfar.core.errors import NearfarError
from nearfar.train.diverged import Diverged
from nearfar.train.loop import Callbacks
from nearfar.train.step import step


def poisoned(trainer, step):
    """Before `step`, a weight that every batch reads is no longer a number."""

    def on_step(progress, *_):
        if progress.step == step - 1:
            with torch.no_grad():
                next(trainer.encoder.model.parameters())[:] = torch.nan

    return on_step


def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    run = trainer(tmp_path)
    run.callbacks = Callbacks(constant, poisoned(run, 5))
    with pytest.raises(Diverged, match="step 5: expected finite loss, gradients and weights, found loss nan") as caught:
        run.run()
    assert isinstance(caught.value, NearfarError)
    assert caught.value.exit_code == 2
    pairs_of_batch = run.data.sampler.epoch(0)[4]
    assert set(caught.value.queries) == set(run.data.source.queries[pairs_of_batch])
    assert set(run.data.source.documents[pairs_of_batch]) <= set(caught.value.documents)
    assert [path.name for path in tmp_path.iterdir()] == ["best-00000000"]


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_gradients_that_are_no_numbers_do_not_reach_the_weights(tmp_path, monkeypatch, value):
    """The loss is finite, and one number of the gradient is not."""
    run = trainer(tmp_path)

    def spoiled(*arguments):
        result = step(*arguments)
        if run.progress.step == 4:
            table.grad.values()[3] = value
        return result

    table = next(run.encoder.model.parameters())
    monkeypatch.setattr("nearfar.train.distributed.step", spoiled)
    seen = []
    run.callbacks = Callbacks(constant, lambda *_: seen.append(table.detach().clone()))
    with pytest.raises(Diverged, match=r"step 5: .* found loss \d\.\d+ and a gradient of norm (nan|inf)"):
        run.run()
    assert torch.equal(table, seen[-1])
    assert torch.isfinite(table).all()


@pytest.mark.parametrize("minutes", [0, 1e9])
def test_weights_that_are_no_numbers_never_become_a_checkpoint(tmp_path, minutes):
    """The last step makes them so, so that no loss can tell."""
    run = trainer(tmp_path, checkpoint_minutes=minutes)
    run.callbacks = Callbacks(constant, poisoned(run, 13))
    with pytest.raises(Diverged, match=r"step 12: .* found weights that are not"):
        run.run()
    kept = ["best-00000000", *(["step-00000010", "step-00000011"] if minutes == 0 else [])]
    assert sorted(path.name for path in tmp_path.iterdir()) == kept


def test_best_weights_are_finite(tmp_path):
    """A metric that rises although the weights are no numbers is not believed."""
    run = trainer(tmp_path, on_eval=scores(0.1, 0.2, 0.3), evaluations=2)

    def spoil(_encoder):
        with torch.no_grad():
            next(run.encoder.model.parameters())[0] = torch.inf
        return 0.9

    run.callbacks = Callbacks(lambda encoder: spoil(encoder) if run.progress.step else 0.1)
    with pytest.raises(Diverged, match=r"step 6: .* found weights that are not"):
        run.run()
    assert [path.name for path in tmp_path.iterdir()] == ["best-00000000"]
