"""Negatives mined inside a run: when, with which weights, used by the batches that follow, and kept in checkpoints."""

import numpy as np
import pytest
import torch

from nearfar.core.errors import BadInput, Interrupted
from nearfar.core.ragged import Ragged
from nearfar.data.batches import batch_source
from nearfar.data.read import from_records
from nearfar.encoder.encode import open_store
from nearfar.encoder.precision import Policy
from nearfar.train.checkpoint import Checkpoints
from nearfar.train.config import TrainConfig
from nearfar.train.data import training_data
from nearfar.train.loop import Callbacks, Trainer
from nearfar.train.mining import MinedNegatives
from tiny_models import pairs, tiny_static

PAIRS = from_records(pairs(48))


def trainer(folder, on_mine, on_step=lambda *_: None):
    config = TrainConfig(batch_size=8, epochs=2, patience=100, checkpoint_minutes=0, mine={"every_steps": 5})
    encoder = tiny_static()
    data = training_data(batch_source(PAIRS), encoder, open_store(encoder), config)
    callbacks = Callbacks(lambda _: 0.5, on_step, on_mine)
    return Trainer(encoder, data, config, Policy(), Checkpoints(folder), "x", callbacks)


def others(source, shift):
    """For each training query the document `shift` places on."""
    queries = source.queries.astype(np.int32)
    return Ragged.from_pairs(queries, np.roll(source.documents, shift).astype(np.int32), len(source.texts))


def test_it_is_done_every_n_steps_with_the_weights_of_that_step(tmp_path):
    seen = []

    def on_mine(encoder):
        encoder.model.eval()  # as encoding does
        seen.append((run.progress.step, encoder.fingerprint()))
        return others(run.data.source, len(seen))

    def on_step(progress, _result):
        source = run.data.source
        shift = (progress.step - 1) // 5
        assert run.encoder.model.training
        if shift:
            batch = source.batch(np.array([3]), 1, (0,))
            expected = {int(source.documents[3]), int(others(source, shift)[int(source.queries[3])][0])}
            assert set(batch.documents.tolist()) == expected

    run = trainer(tmp_path, on_mine, on_step)
    assert not any(map(len, run.data.source.negatives))
    run.run()
    assert [step for step, _ in seen] == [5, 10]
    assert len({weights for _, weights in seen}) == 2


@pytest.mark.parametrize("stop", [4, 5, 6, 9, 11])
def test_a_resumed_run_has_the_same_negatives(tmp_path, stop):
    def mined(run):
        """A function of the weights: which of two ways to shift."""
        return lambda encoder: others(run.data.source, 1 + int(encoder.fingerprint(), 16) % 40)

    def stop_at(progress, _result):
        if progress.step == stop:
            raise Interrupted("stop")

    def make(folder, on_step=lambda *_: None):
        run = trainer(folder, None, on_step)
        run.callbacks = Callbacks(run.callbacks.on_eval, on_step, mined(run))
        return run

    whole = make(tmp_path / "whole")
    losses = whole.run().losses
    with pytest.raises(Interrupted):
        make(tmp_path / "cut", stop_at).run()
    again = make(tmp_path / "cut")
    again.resume()
    assert again.progress.step == stop - 1
    assert again.run().losses == losses
    for name, value in whole.encoder.model.state_dict().items():
        assert torch.equal(value, again.encoder.model.state_dict()[name])


@pytest.mark.parametrize("rows", [None, [], [[]], [[3, 1], [], [2]]])
def test_they_survive_as_a_tensor(rows):
    module, again = MinedNegatives(), MinedNegatives()
    module.negatives = None if rows is None else Ragged.of(rows)
    again.load_state_dict(module.state_dict())
    found = None if again.negatives is None else [row.tolist() for row in again.negatives]
    assert found == rows


def test_mining_what_is_never_drawn_is_refused():
    with pytest.raises(BadInput, match="'mine': expected hard_negatives of 1 or more"):
        TrainConfig.parse({"hard_negatives": 0, "mine": {"every_steps": 3}}, "options")
