"""LoRA: a few weights trained beside the others, in every step alike, and merged into them."""

import builtins
import json

import pytest
import torch
from batches_of_tokens import distance, objective, plain, policy, stepped, token_batch, without_dropout
from transformers import AutoModel

import nearfar
from nearfar.core.errors import BadInput, MissingExtra
from nearfar.encoder.encode import encode
from nearfar.encoder.fused import FusedLayers
from nearfar.encoder.load import load_encoder
from nearfar.encoder.lora import LoraConfig
from nearfar.encoder.precision import Policy
from nearfar.pipeline.certify import certify
from nearfar.pipeline.progress import Silent
from nearfar.train.adapt import adapted
from nearfar.train.config import LORA_LEARNING_RATE, TrainConfig
from tiny_models import pairs, save_tiny_decoder, sentences

ALL = 1 << 40
TEXTS = sentences(20, 5)


def with_lora(encoder, **settings):
    """The encoder with adapters that already add something."""
    config = TrainConfig(lora=LoraConfig(**{"rank": 4, **settings}))
    adaptation = adapted(encoder, config, sentences(80), policy())
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in encoder.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.3, generator=generator)
    return adaptation


@pytest.fixture
def decoder(tmp_path):
    return load_encoder(save_tiny_decoder(tmp_path / "decoder"))


def test_nothing_is_changed_before_training(tiny):
    before = encode(tiny, TEXTS, "query", Policy())
    adaptation = adapted(tiny, TrainConfig(lora=LoraConfig(rank=4)), (), policy())
    assert (encode(tiny, TEXTS, "query", Policy()) == before).all()
    trained = {name for name, p in tiny.model.named_parameters() if p.requires_grad}
    assert len(trained) == 2 * 6 * 2  # two matrices for six products of two layers
    assert all("lora_" in name for name in trained)
    count = sum(p.numel() for p in tiny.model.parameters() if p.requires_grad)
    assert f"{count:,} of " in adaptation.line()


def test_the_fast_layers_have_the_gradients_of_peft_and_torch(tiny):
    with_lora(without_dropout(tiny))
    batch, loss = token_batch(tiny), objective()
    with tiny.training(policy()):
        assert any(isinstance(module, FusedLayers) for module in tiny.model.modules())
    _, expected = plain(tiny, batch, loss, policy(), kernels=False)
    _, found = stepped(tiny, batch, loss, policy())
    assert all("lora_" in name for name in found)
    assert distance(expected, found) <= 1e-5


@pytest.mark.parametrize("targets", ["auto", ("query", "value"), ("output.dense",)])
def test_the_cached_step_is_the_plain_one(tiny, targets):
    with_lora(tiny, targets=targets)
    batch, loss = token_batch(tiny), objective()
    _, expected = plain(tiny, batch, loss, policy())
    _, found = stepped(tiny, batch, loss, policy())
    _, kept = stepped(tiny, batch, loss, policy(keep_bytes=ALL))
    assert expected
    assert distance(expected, found) <= 1e-5
    assert distance(found, kept) == 0


def test_lora_dropout_goes_through_torch_and_agrees(tiny):
    with_lora(tiny, dropout=0.25)
    batch, loss = token_batch(tiny), objective()
    with tiny.training(policy()):
        assert not any(isinstance(module, FusedLayers) for module in tiny.model.modules())
    _, expected = plain(tiny, batch, loss, policy())
    _, found = stepped(tiny, batch, loss, policy())
    assert distance(expected, found) <= 1e-5


def test_threads_share_a_step_with_adapters(tiny):
    with_lora(tiny)
    batch, loss, threads = token_batch(tiny), objective(), torch.get_num_threads()
    _, one = stepped(tiny, batch, loss, policy())
    try:
        torch.set_num_threads(2)
        _, two = stepped(tiny, batch, loss, policy())
    finally:
        torch.set_num_threads(threads)
    assert distance(one, two) <= 1e-5


def test_a_decoder_has_adapters_in_all_its_layers(decoder):
    adaptation = with_lora(decoder)
    names = {
        name.split(".lora_")[0].rpartition(".")[2] for name, p in decoder.model.named_parameters() if p.requires_grad
    }
    assert names == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    batch, loss = token_batch(decoder), objective()
    _, expected = plain(decoder, batch, loss, policy(), kernels=False)
    _, found = stepped(decoder, batch, loss, policy())
    assert distance(expected, found) <= 1e-5
    before = encode(decoder, TEXTS, "query", Policy())
    adaptation.release()
    assert abs(encode(decoder, TEXTS, "query", Policy()) - before).max() <= 1e-5


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("init", ["default", "corda"])
def test_merged_weights_embed_as_the_adapters_did(tiny, init, precision):
    chosen = Policy(precision=precision)
    names = [name for name, _ in tiny.model.named_parameters()]
    adaptation = with_lora(tiny, init=init)
    before = encode(tiny, TEXTS, "query", chosen)
    adaptation.release()
    assert abs(encode(tiny, TEXTS, "query", chosen) - before).max() <= 1e-6
    assert [name for name, _ in tiny.model.named_parameters()] == names
    assert all(p.requires_grad for p in tiny.model.parameters())
    assert not hasattr(tiny.model.transformers_model, "peft_config")


def test_corda_changes_no_vector_and_is_drawn_alike(tiny, tiny_folder):
    before = encode(tiny, TEXTS, "query", Policy())
    config = TrainConfig(lora=LoraConfig(rank=4, init="corda"))
    other = load_encoder(tiny_folder)
    for one in (tiny, other):
        adapted(one, config, sentences(80), policy())
    assert abs(encode(tiny, TEXTS, "query", Policy()) - before).max() <= 1e-5
    state, again = tiny.model.state_dict(), other.model.state_dict()
    assert all(torch.equal(state[name], again[name]) for name in state)
    assert all(part.norm() > 0.1 for name, part in state.items() if "lora_B" in name)


def refusal(do):
    with pytest.raises(BadInput) as caught:
        do()
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_what_has_no_such_modules_says_so(tiny, static):
    def of(encoder, **settings):
        return refusal(lambda: adapted(encoder, TrainConfig(**settings), (), policy()))

    assert "did you mean 'query'" in of(tiny, lora=LoraConfig(rank=2, targets=("qury",)))
    assert "train.lora.rank: expected 0 for a static encoder, found 2" in of(static, lora=LoraConfig(rank=2))
    assert "train.freeze: expected 0 for a static encoder" in of(static, freeze=1)
    with_lora(tiny)
    assert "expected a base without adapters" in of(tiny, lora=LoraConfig(rank=2))
    assert "false with init: corda" in refusal(
        lambda: TrainConfig.parse({"lora": {"rank": 2, "init": "corda", "keep": True}}, "x")
    )


def test_a_missing_peft_names_its_install_command(tiny, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("peft"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"train.lora needs the extra 'lora'.*pip install 'nearfar\[lora\]'"):
        adapted(tiny, TrainConfig(lora=LoraConfig(rank=2)), (), policy())


def test_its_learning_rate_is_higher():
    lora = TrainConfig(lora=LoraConfig(rank=2))
    assert lora.peak_learning_rate(static=False) == LORA_LEARNING_RATE > TrainConfig().peak_learning_rate(static=False)
    assert TrainConfig(lora=LoraConfig(rank=2), learning_rate=1e-5).peak_learning_rate(static=False) == 1e-5


class Said(Silent):
    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


def fitted(base, out, **settings):
    reporter = Said()
    config = {"train": {"epochs": 1, "batch_size": 32, "precision": "fp32", "lora": {"rank": 4}, **settings}}
    return nearfar.fit(pairs(120), base=base, out=out, config=config, reporter=reporter), reporter.lines


def test_a_run_ends_with_a_merged_model_and_the_adapter_beside_it(tiny_folder, tmp_path):
    run, said = fitted(tiny_folder, tmp_path / "run", lora={"rank": 4, "keep": True})
    count = 2 * 4 * (4 * (32 + 32) + 2 * (32 + 64))  # layers, rank, products of the attention and after it
    assert any(f" of the weights: {count:,} of " in line for line in said)
    assert len(run.record["dev"]) > 1
    merged = load_encoder(tmp_path / "run" / "model")
    assert not any("lora" in name for name in merged.model.state_dict())
    folder = tmp_path / "run" / "model" / "adapter"
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == str(tiny_folder)
    from peft import PeftModel

    whole = PeftModel.from_pretrained(AutoModel.from_pretrained(tiny_folder), str(folder)).merge_and_unload()
    ours = merged.model.transformers_model.state_dict()
    theirs = whole.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-6) for name in ours)


def test_a_model_in_memory_is_whole_again_after_a_failure(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("nearfar.pipeline.fit.train", lambda session, dev: 1 / 0)
    names = [name for name, _ in tiny.model.named_parameters()]
    with pytest.raises(ZeroDivisionError):
        fitted(tiny.model, tmp_path / "run", freeze=1)
    assert [name for name, _ in tiny.model.named_parameters()] == names
    assert all(p.requires_grad for p in tiny.model.parameters())


def test_all_ways_of_making_a_step_agree(tiny_folder):
    # the gradient of a small random model nearly cancels at a low temperature, and rounding is a large part of it
    config = {"train": {"temperature": 1.0, "freeze": 1, "lora": {"rank": 4, "init": "corda"}}}
    certificate = certify(pairs(40), base=tiny_folder, config=config, pairs=12, losses=["info_nce", "triplet"])
    assert certificate.ok, [check for check in certificate.checks if not check.ok]
