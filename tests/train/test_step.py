"""The cached step against one plain pass with all graphs."""

from dataclasses import replace

import pytest
import torch
from batches_of_tokens import distance, objective, plain, policy, stepped, token_batch, without_dropout

from nearfar.train.step import partition, step

ALL = 1 << 40
BOTH_WAYS = ("query_to_document", "document_to_query")


@pytest.fixture(params=["tiny", "static"])
def encoder(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("keep", [ALL, "half"])
@pytest.mark.parametrize(
    "settings", [{}, {"directions": BOTH_WAYS}, {"matryoshka": [4, 8]}, {"learn_temperature": True}]
)
def test_what_is_kept_does_not_change_a_bit(encoder, keep, settings, monkeypatch):
    monkeypatch.setattr("nearfar.train.step.activation_bytes", lambda *_: 1)
    batch, loss = token_batch(encoder), objective(**settings)
    cached, gradients = stepped(encoder, batch, loss, policy())
    size = cached.padded_tokens // 2 if keep == "half" else keep
    kept, same = stepped(encoder, batch, loss, policy(keep_bytes=size))
    assert (cached.kept, cached.micro_batches) == (0, kept.micro_batches)
    assert kept.kept == kept.micro_batches if keep == ALL else 0 < kept.kept < kept.micro_batches
    assert cached.loss == kept.loss
    assert all(torch.equal(gradients[name], same[name]) for name in gradients | same)


@pytest.mark.parametrize("keep", [0, ALL])
@pytest.mark.parametrize("dropout", [True, False])
@pytest.mark.parametrize("settings", [{}, {"directions": BOTH_WAYS, "learn_temperature": True}])
def test_one_plain_pass_has_the_same_gradient(encoder, dropout, keep, settings):
    batch, loss = token_batch(encoder), objective(**settings)
    if not dropout:
        without_dropout(encoder)
    result, gradients = stepped(encoder, batch, loss, policy(keep_bytes=keep))
    value, reference = plain(encoder, batch, loss, policy())
    assert result.loss == pytest.approx(float(value), rel=1e-6)
    assert distance(reference, gradients) <= 1e-5


def test_torchs_own_modules_have_the_same_gradient(encoder):
    without_dropout(encoder)
    batch, loss = token_batch(encoder), objective()
    _, gradients = stepped(encoder, batch, loss, policy())
    _, reference = plain(encoder, batch, loss, policy(), kernels=False)
    assert distance(reference, gradients) <= 1e-5


def test_the_budget_does_not_change_the_gradient_without_dropout(encoder):
    without_dropout(encoder)
    batch, loss = token_batch(encoder), objective()
    _, small = stepped(encoder, batch, loss, policy(budget_tokens=64))
    _, large = stepped(encoder, batch, loss, policy(budget_tokens=4096))
    assert distance(large, small) <= 1e-5


def test_dropout_does_something_and_has_a_seed(tiny):
    batch, loss = token_batch(tiny), objective()
    first, gradients = stepped(tiny, batch, loss, policy())
    again, same = stepped(tiny, batch, loss, policy())
    other, _ = stepped(tiny, replace(batch, seed=8), loss, policy())
    assert first == again
    assert distance(gradients, same) == 0
    assert other.loss != first.loss


def test_every_layer_and_table_gets_a_gradient(tiny):
    _, gradients = stepped(tiny, token_batch(tiny), objective(), policy())
    parameters = [name for name, _ in tiny.model.named_parameters() if ".pooler." not in name]
    assert any("word_embeddings" in name for name in parameters)
    for name in parameters:
        if not name.endswith("key.bias"):  # the softmax does not see what it adds
            assert gradients[name].abs().sum() > 0, name


def test_only_rows_of_tokens_in_the_batch_get_a_gradient(static):
    batch = token_batch(static)
    _, gradients = stepped(static, batch, objective(), policy())
    table = next(iter(gradients.values()))
    seen = {int(token) for row in [*batch.queries, *batch.documents] for token in row}
    assert {int(row) for row in table.abs().sum(dim=1).nonzero().flatten()} <= seen
    assert table.abs().sum() > 0


def test_gradients_add_up(static):
    batch, loss = token_batch(static), objective()
    _, once = stepped(static, batch, loss, policy())
    with static.training(policy()):
        static.model.zero_grad(set_to_none=True)
        step(static, batch, loss, policy())
        step(static, batch, loss, policy())
    twice = {name: p.grad.to_dense() / 2 for name, p in static.model.named_parameters()}
    assert distance(once, twice) <= 1e-6


def test_bf16_is_near_fp32(tiny):
    without_dropout(tiny)
    batch, loss = token_batch(tiny), objective()
    full, gradients = stepped(tiny, batch, loss, policy())
    half, near = stepped(tiny, batch, loss, policy(precision="bf16"))
    kept, same = stepped(tiny, batch, loss, policy(precision="bf16", keep_bytes=ALL))
    assert all(gradient.dtype == torch.float32 for gradient in near.values())
    assert half.loss == pytest.approx(float(full.loss), rel=0.02)
    assert 0 < distance(gradients, near) <= 0.05
    assert half.loss == kept.loss
    assert distance(near, same) == 0


def test_a_learned_temperature_gets_its_gradient(static):
    batch, loss = token_batch(static), objective(learn_temperature=True)
    _, gradients = stepped(static, batch, loss, policy())
    shift, values = 1e-2, []
    for sign in (1, -1):
        moved = objective(learn_temperature=True)
        with torch.no_grad():
            moved.logit_scale += sign * shift
        values.append(stepped(static, batch, moved, policy())[0].loss.item())
    assert gradients["logit_scale"].item() == pytest.approx((values[0] - values[1]) / (2 * shift), rel=0.02)


def test_a_fixed_temperature_has_none(static):
    _, gradients = stepped(static, token_batch(static), objective(), policy())
    assert "logit_scale" not in gradients


def test_a_learned_temperature_stays_above_its_floor():
    assert objective(temperature=0.001, learn_temperature=True).temperature().item() == pytest.approx(0.01)
    assert objective(temperature=0.001).temperature().item() == pytest.approx(0.001)


def test_tokens_are_counted(static):
    batch = token_batch(static)
    result, _ = stepped(static, batch, objective(), policy())
    assert result.real_tokens == sum(map(len, batch.queries)) + sum(map(len, batch.documents))
    assert result.padded_tokens >= result.real_tokens


def test_micro_batches_have_seeds_of_their_own(static):
    batch = token_batch(static)
    parts = partition("document", batch.documents, 100, 64)
    assert [part.seed for part in parts] == list(range(100, 100 + len(parts)))
    assert sorted(i for part in parts for i in part.index) == list(range(len(batch.documents)))
