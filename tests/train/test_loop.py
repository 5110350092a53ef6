"""The loop in this process; what a killed process leaves is in test_resume.py."""

import math
import os
import signal

import pytest
import torch

from nearfar.core.errors import BadInput, Interrupted
from nearfar.data.batches import batch_source
from nearfar.data.read import from_records
from nearfar.encoder.encode import open_store
from nearfar.encoder.precision import Policy
from nearfar.train.adapt import adapted
from nearfar.train.checkpoint import Checkpoints
from nearfar.train.config import TrainConfig
from nearfar.train.data import training_data
from nearfar.train.distributed import Workers
from nearfar.train.loop import Callbacks, Trainer
from nearfar.train.optimizer import adamw, learning_rate_factor
from nearfar.train.step import step
from tiny_models import pairs, tiny_static

PAIRS = from_records([{"query": q, "positive": d, "source": "ab"[i % 3 > 0]} for i, (q, d) in enumerate(pairs(48))])


def constant(_encoder):
    return 0.5


def scores(*values):
    """An evaluation that gives these values in turn."""
    rest = list(values)
    return lambda _encoder: rest.pop(0)


def trainer(
    folder,
    *,
    on_eval=constant,
    on_step=lambda *_: None,
    identity="x",
    encoder=None,
    workers=None,
    codec=None,
    **settings,
):
    config = TrainConfig(**{"batch_size": 8, "epochs": 2, "patience": 100, "checkpoint_minutes": 1e9, **settings})
    encoder = encoder or tiny_static()
    data = training_data(batch_source(PAIRS), encoder, open_store(encoder), config)
    workers = workers or Workers()
    callbacks = Callbacks(on_eval, on_step)
    return Trainer(encoder, data, config, Policy(), Checkpoints(folder), identity, callbacks, workers=workers,
                   codec=codec)  # fmt: skip


def weights(one):
    return {f"{name}.{key}": value.clone() for name, m in one.state.items() for key, value in m.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_the_learning_rate_rises_and_falls_along_a_cosine():
    rates = [learning_rate_factor(step, 100, 0.1) for step in range(100)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10:] == pytest.approx([0.5 * (1 + math.cos(math.pi * i / 90)) for i in range(90)])
    assert max(rates) == 1
    assert learning_rate_factor(100, 100, 0.1) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.1), (1, 0.0), (3, 0.5), (2, 0.99), (7, 0.0)])
def test_short_schedules_never_leave_the_range(steps, warmup):
    rates = [learning_rate_factor(step, steps, warmup) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)
    assert max(rates) == 1


def test_biases_norms_and_the_temperature_are_not_decayed(tiny):
    config = TrainConfig(weight_decay=0.3, learn_temperature=True)
    scale = torch.nn.ParameterList([torch.nn.Parameter(torch.tensor(1.0))])
    decayed, plain = adamw([tiny.model, scale], config, peak=1e-3).param_groups
    names = {id(p): name for name, p in tiny.model.named_parameters()}
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.3, 0.0)
    assert all(names[id(p)].endswith("weight") for p in decayed["params"])
    assert not any("LayerNorm" in names[id(p)] for p in decayed["params"])
    assert all("LayerNorm" in name or "bias" in name for p in plain["params"] if (name := names.get(id(p))))
    assert len(decayed["params"]) + len(plain["params"]) == len(names) + 1
    assert any(p is scale[0] for p in plain["params"])


def test_frozen_weights_are_left_out(tiny):
    tiny.model[0].requires_grad_(False)
    extra = torch.nn.Linear(2, 2)
    groups = adamw([tiny.model, extra], TrainConfig(), peak=1e-3).param_groups
    assert sum(len(group["params"]) for group in groups) == 2


def test_training_learns_and_records(tmp_path):
    run = trainer(tmp_path, epochs=4)
    progress = run.run()
    assert progress.step == run.steps == 24 == len(progress.losses) == len(progress.learning_rates)
    assert sum(progress.losses[-6:]) < 0.7 * sum(progress.losses[:6])
    expected = [0.005 * learning_rate_factor(step, 24, 0.1) for step in range(24)]
    assert list(progress.learning_rates) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("evaluations", "expected"), [(1, [0, 12]), (3, [0, 4, 8, 12]), (5, [0, 3, 5, 8, 10, 12]), (99, list(range(13)))]
)
def test_evaluations_stand_at_equal_distances_and_at_both_ends(tmp_path, evaluations, expected):
    progress = trainer(tmp_path, evaluations=evaluations, patience=100).run()
    assert [step for step, _ in progress.dev] == expected


def test_the_best_weights_are_restored(tmp_path):
    seen = []
    values = iter([0.1, 0.2, 0.9, 0.3, 0.9])

    def on_eval(encoder):
        seen.append({f"model.{key}": value.clone() for key, value in encoder.model.state_dict().items()})
        return next(values)

    run = trainer(tmp_path, on_eval=on_eval, evaluations=4)
    progress = run.run()
    assert (progress.best, progress.best_step) == (0.9, 6)
    final = {key: value for key, value in weights(run).items() if key.startswith("model.")}
    assert same(final, seen[2])
    assert not same(final, seen[4])
    assert not run.encoder.model.training


def test_a_run_that_only_gets_worse_gives_the_base_back(tmp_path):
    before = weights(trainer(tmp_path / "untouched"))
    run = trainer(tmp_path / "run", on_eval=scores(0.9, 0.8, 0.7, 0.6, 0.5), evaluations=4)
    assert run.run().best_step == 0
    assert same(weights(run), before)


def test_it_stops_early(tmp_path):
    run = trainer(tmp_path, on_eval=scores(0.1, 0.5, 0.4, 0.5, 0.9), evaluations=6, patience=2)
    progress = run.run()
    assert progress.step == 6
    assert [value for _, value in progress.dev] == [0.1, 0.5, 0.4, 0.5]


def test_the_same_seed_gives_the_same_weights(tmp_path):
    runs = [trainer(tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    losses = [run.run().losses for run in runs]
    assert losses[0] == losses[1] != losses[2]
    assert same(weights(runs[0]), weights(runs[1]))


def press_ctrl_c_after(step):
    def on_step(progress, *_):
        if progress.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    return on_step


SETTINGS = [
    {},
    {"learn_temperature": True, "evaluations": 3},
    {"queue": {"size": 20}, "mixed_negatives": {"count": 2}},
    {"queue": {"size": 20, "momentum": 0.9}, "directions": ["query_to_document", "document_to_document"]},
    {"curriculum": {"by": "overlap", "progressive": 0.5}, "batch_by": "source", "mixing": {"temperature": 2}},
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("base", ["static", "tiny"])
def test_ctrl_c_and_resume_end_with_the_same_bits(tmp_path, base, settings, request, tiny_folder):
    from nearfar.encoder.load import load_encoder

    def fresh():
        return tiny_static() if base == "static" else load_encoder(tiny_folder)

    def metric(encoder):  # of the weights alone, and it rises and falls
        return float(next(encoder.model.parameters()).double().sum().sin())

    whole = trainer(tmp_path / "whole", encoder=fresh(), on_eval=metric, **settings)
    expected = whole.run()
    handler = signal.getsignal(signal.SIGINT)
    for stop in (3, 8):
        run = trainer(tmp_path / "cut", encoder=fresh(), on_eval=metric, on_step=press_ctrl_c_after(stop), **settings)
        if stop > 3:
            run.resume()
        with pytest.raises(Interrupted, match=f"interrupted after step {stop} of 12; go on with --resume"):
            run.run()
        assert signal.getsignal(signal.SIGINT) is handler
    last = trainer(tmp_path / "cut", encoder=fresh(), on_eval=metric, **settings)
    last.resume()
    progress = last.run()
    assert (progress.losses, progress.learning_rates) == (expected.losses, expected.learning_rates)
    assert (progress.dev, progress.best_step) == (expected.dev, expected.best_step)
    assert same(weights(last), weights(whole))


def test_accumulated_batches_make_one_step_of_their_mean_gradient(tmp_path):
    """One step over two batches is what plain steps add up to when the optimizer moves once."""
    assert [trainer(tmp_path, accumulate=n).steps for n in (1, 2, 4, 9)] == [12, 6, 4, 2]  # of 2 · 6 batches
    run = trainer(tmp_path / "two", accumulate=2)
    one = trainer(tmp_path / "one")
    with one.encoder.training(one.policy):
        pairs = one.data.sampler.epoch(0)[:2]
        losses = [step(one.encoder, one.data.batch(p, one.config, 0, n), one.objective, one.policy).loss
                  for n, p in enumerate(pairs)]  # fmt: skip
    (table,) = one.encoder.model.parameters()
    with run.encoder.training(run.policy):
        result = run._forward_backward(0)
    assert float(result.loss) == pytest.approx(float(sum(losses)) / 2)
    (mean,) = (parameter.grad.to_dense() for parameter in run.encoder.model.parameters())
    assert torch.allclose(mean, table.grad.to_dense() / 2, rtol=1e-6)
    assert run.run().step == 6


def test_an_accumulating_run_goes_on_with_the_same_bits(tmp_path):
    settings = {"accumulate": 2, "epochs": 4}
    whole = trainer(tmp_path / "whole", **settings)
    losses = whole.run().losses
    interrupted(tmp_path / "cut", **settings)
    last = trainer(tmp_path / "cut", **settings)
    last.resume()
    assert last.run().losses == losses
    assert same(weights(last), weights(whole))


@pytest.mark.parametrize("settings", [{"lora": {"rank": 2}}, {"lora": {"rank": 2, "init": "corda"}}, {"freeze": 1}])
def test_a_run_that_trains_a_part_goes_on_with_the_same_bits(tmp_path, tiny_folder, settings):
    from nearfar.encoder.load import load_encoder

    def fresh(folder, **more):
        encoder = load_encoder(tiny_folder)
        adapted(encoder, TrainConfig(**settings), [document for _, document in pairs(80)], Policy())
        return trainer(folder, encoder=encoder, on_eval=metric, **settings, **more)

    def metric(encoder):
        return float(sum(p.double().sum() for p in encoder.model.parameters() if p.requires_grad).sin())

    whole = fresh(tmp_path / "whole")
    before = {name: p.clone() for name, p in whole.encoder.model.named_parameters() if not p.requires_grad}
    expected = whole.run()
    with pytest.raises(Interrupted):
        fresh(tmp_path / "cut", on_step=press_ctrl_c_after(5)).run()
    last = fresh(tmp_path / "cut")
    last.resume()
    assert last.run().losses == expected.losses
    assert expected.best_step > 0
    assert same(weights(last), weights(whole))
    now = dict(last.encoder.model.named_parameters())
    assert before
    assert all(torch.equal(now[name], tensor) for name, tensor in before.items())


def interrupted(folder, after=3, **settings):
    run = trainer(folder, on_step=press_ctrl_c_after(after), **settings)
    with pytest.raises(Interrupted):
        run.run()


def refusal(do):
    with pytest.raises(BadInput) as caught:
        do()
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_resuming_another_run_is_refused(tmp_path):
    interrupted(tmp_path, identity="one")
    assert "found a checkpoint of others" in refusal(trainer(tmp_path, identity="other").resume)


def test_resuming_nothing_is_refused(tmp_path):
    assert "expected a checkpoint to go on from, found none" in refusal(trainer(tmp_path).resume)
