"""Frozen layers: the rest has the gradients it had, and the backward stops where nothing below is trained."""

import pytest
import torch
from batches_of_tokens import distance, objective, plain, policy, stepped, token_batch, without_dropout

from nearfar.core.errors import BadInput
from nearfar.encoder.freezing import layers_in, untouched_layers
from nearfar.encoder.fused import FusedLayers
from nearfar.encoder.load import load_encoder
from nearfar.train.adapt import adapted
from nearfar.train.config import TrainConfig
from nearfar.train.memory import need_of
from nearfar.train.step import activation_bytes
from tiny_models import save_tiny_bert, save_tiny_decoder

ALL = 1 << 40


@pytest.fixture
def deep(tmp_path):
    """A BERT of four layers."""
    return load_encoder(save_tiny_bert(tmp_path / "deep", layers=4))


def frozen(encoder, count, **settings):
    return adapted(encoder, TrainConfig(freeze=count, **settings), (), policy())


def trained_names(encoder):
    return {name for name, p in encoder.model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_fast_layers_have_the_gradients_of_torch(deep, count):
    frozen(without_dropout(deep), count)
    batch, loss = token_batch(deep), objective()
    _, found = stepped(deep, batch, loss, policy(keep_bytes=ALL))
    deep.model.double()  # two ways in fp32 may each be off by nearly the bound, as the processor's products are
    _, expected = plain(deep, batch, loss, policy(), kernels=False)
    assert {f"layer.{n}" for n in range(4) if any(f"layer.{n}." in name for name in found)} == {
        f"layer.{n}" for n in range(count, 4)
    }
    assert not any("embeddings" in name for name in found)
    assert distance(expected, found) <= 1e-5


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("keep", [0, ALL])
def test_what_is_trained_has_the_gradients_of_training_everything(deep, keep, precision):
    """With dropout: frozen layers draw what they drew."""
    batch, loss, chosen = token_batch(deep), objective(), policy(keep_bytes=keep, precision=precision)
    _, whole = stepped(deep, batch, loss, chosen)
    frozen(deep, 2)
    _, rest = stepped(deep, batch, loss, chosen)
    assert 0 < len(rest) < len(whole)
    assert distance({name: whole[name] for name in rest}, rest) <= 1e-6


def test_a_decoder_keeps_the_gradients_of_its_upper_layers(tmp_path):
    decoder = load_encoder(save_tiny_decoder(tmp_path / "decoder"))
    batch, loss = token_batch(decoder), objective()
    _, whole = stepped(decoder, batch, loss, policy())
    frozen(decoder, 2)
    _, rest = stepped(decoder, batch, loss, policy())
    assert {name.split("layers.")[-1][0] for name in rest if "layers." in name} == {"2"}
    assert not any("embed_tokens" in name for name in rest)
    assert distance({name: whole[name] for name in rest}, rest) <= 1e-6


@pytest.mark.parametrize("kept", ["layer.1", "embeddings"])
def test_a_layer_frozen_in_the_midst_is_gone_through(deep, kept):
    """Below the trained part of a user's own freezing nothing is computed; above it everything is."""
    without_dropout(deep)
    for name, parameter in deep.model.named_parameters():
        parameter.requires_grad = kept in name
    batch, loss = token_batch(deep), objective()
    _, expected = plain(deep, batch, loss, policy(), kernels=False)
    _, found = stepped(deep, batch, loss, policy())
    assert expected
    assert distance(expected, found) <= 1e-5


def test_the_backward_does_not_come_to_frozen_layers(deep):
    frozen(deep, 3)
    batch, loss, seen = token_batch(deep), objective(), []
    with deep.training(policy()):
        (stack,) = [module for module in deep.model.modules() if isinstance(module, FusedLayers)]
        for number, layer in enumerate(stack.layers):
            layer.backward = lambda *args, n=number, real=layer.backward: seen.append(n) or real(*args)
        plain(deep, batch, loss, policy())
    assert set(seen) == {3}


def test_memory_is_that_of_what_is_trained(deep):
    config, chosen = TrainConfig(), policy()
    before = need_of(deep, config, chosen, 100), activation_bytes(deep, chosen, 64)
    assert untouched_layers(deep.model.transformers_model) == 0
    adaptation = frozen(deep, 2)
    assert untouched_layers(deep.model.transformers_model) == 2
    after = need_of(deep, config, chosen, 100), activation_bytes(deep, chosen, 64)
    share = sum(p.numel() for p in deep.model.parameters() if p.requires_grad) / sum(
        p.numel() for p in deep.model.parameters()
    )
    assert after[0].states == pytest.approx(share * before[0].states)
    assert after[1] < before[1]
    adaptation.release()
    assert all(p.requires_grad for p in deep.model.parameters())


def test_what_was_frozen_before_stays_so(deep):
    first = next(deep.model.parameters())
    first.requires_grad = False
    names = trained_names(deep)
    adaptation = frozen(deep, 1)
    assert trained_names(deep) < names
    adaptation.release()
    assert trained_names(deep) == names


def test_layers_are_found_in_every_family(deep, tmp_path):
    decoder = load_encoder(save_tiny_decoder(tmp_path / "decoder")).model.transformers_model
    assert [name for name, _ in layers_in(decoder)] == [f"layers.{n}" for n in range(3)]
    bert = deep.model.transformers_model
    assert [name for name, _ in layers_in(bert)] == [f"encoder.layer.{n}" for n in range(4)]
    with deep.training(policy()):
        assert len(layers_in(bert)) == 4
    assert layers_in(torch.nn.Linear(2, 2)) == []


@pytest.mark.parametrize("count", [4, 9])
def test_a_model_without_so_many_layers_says_so(deep, count):
    with pytest.raises(BadInput, match=f"train.freeze: expected fewer than the model's 4 layers, found {count}; "):
        frozen(deep, count)
    assert all(p.requires_grad for p in deep.model.parameters())
