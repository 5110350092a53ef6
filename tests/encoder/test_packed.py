"""Packed layers against transformers' own forward."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, RobertaConfig, RobertaModel

from nearfar.encoder import ragged
from nearfar.encoder.kernels import inference_kernels, training_kernels
from nearfar.encoder.packed import PackedLayers, is_packable

SIZES = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
LENGTHS = (9, 9, 9, 7, 4, 1)


def made(kind=BertModel, **settings):
    torch.manual_seed(0)
    config = {BertModel: BertConfig, RobertaModel: RobertaConfig}[kind](**SIZES, **settings)
    model = kind(config).eval()
    with torch.no_grad():  # far from zero, so that every part of a vector has something to say
        for parameter in model.parameters():
            parameter.mul_(5).add_(0.1)
    return model


def features(*, left=False):
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    mask = mask.flip(1) if left else mask
    ids = torch.randint(2, SIZES["vocab_size"], mask.shape, generator=torch.Generator().manual_seed(1))
    return {"input_ids": ids.where(mask, 0), "attention_mask": mask.long()}


def difference(model, inputs):
    with torch.inference_mode():
        expected = model(**inputs).last_hidden_state
        with inference_kernels(model):
            assert any(isinstance(module, PackedLayers) for module in model.children())
            found = model(**inputs).last_hidden_state
    real = inputs["attention_mask"].bool()
    return float((found - expected)[real].norm() / expected[real].norm())


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("kind", [BertModel, RobertaModel])
def test_hidden_states_are_those_of_transformers(kind, left):
    model = made(kind)
    stack = model.encoder
    assert difference(model, features(left=left)) <= 1e-6
    assert model.encoder is stack


def test_inside_training():
    model = made()
    with training_kernels(model):
        assert difference(model, features()) <= 1e-6


def test_rows_without_padding():
    inputs = {name: rows[:3] for name, rows in features().items()}
    assert difference(made(), inputs) <= 1e-6


@pytest.mark.parametrize(("name", "value"), [("LONGEST", 5), ("TOGETHER", 1), ("STEP", 1), ("STEP", 4)])
def test_long_rows_and_rows_alone(monkeypatch, name, value):
    monkeypatch.setattr(ragged, name, value)
    assert difference(made(), features()) <= 1e-6


def test_without_onednn(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert difference(made(), features()) <= 1e-6


@pytest.mark.parametrize(
    "settings",
    [{"hidden_act": "relu"}, {"is_decoder": True}, {"output_hidden_states": True}, {"attn_implementation": "eager"}],
)
def test_other_stacks_are_left_alone(settings):
    assert not is_packable(made(**settings).encoder)


def test_a_wrapped_product_is_left_alone():
    model = made()
    dense = model.encoder.layer[1].output.dense
    model.encoder.layer[1].output.dense = torch.nn.Sequential(dense)
    assert not is_packable(model.encoder)


def test_attention_is_that_of_each_text_alone():
    lengths = [3, 17, 16, 18, 33, 40, 40, 0, 5]
    rows = torch.randn(sum(lengths) + 7, 3 * 32, generator=torch.Generator().manual_seed(2))
    found = ragged.attend(rows, list(ragged.grouped(lengths)), heads=4)
    for text, start in zip(lengths, np.cumsum([0, *lengths]), strict=False):
        q, k, v = rows[start : start + text].view(text, 3, 4, 8).permute(1, 2, 0, 3)
        alone = torch.softmax(q @ k.transpose(1, 2), -1) @ v
        torch.testing.assert_close(found[start : start + text], alone.transpose(0, 1).reshape(text, 32))
    assert not found[sum(lengths) :].any()


def test_groups_keep_their_scores_in_the_cache():
    groups = list(ragged.grouped([9] * 100 + [30] * 40 + [700] * 3))
    assert all(group.texts == 1 or group.texts * group.length <= ragged.TOGETHER for group in groups)
    assert [group.here.start for group in groups][1:] == [group.here.stop for group in groups][:-1]
