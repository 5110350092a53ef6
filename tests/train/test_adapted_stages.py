"""What is adapted, prompted and shown beside layers, two encoders and stages: as each is alone."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from batches_of_tokens import distance, objective, plain, policy, stepped, token_batch

import nearfar
from command_line import SMALL
from nearfar.core.errors import BadInput
from nearfar.encoder.config import EncoderConfig
from nearfar.encoder.encode import encode, open_store
from nearfar.encoder.load import load_encoder
from nearfar.encoder.lora import LoraConfig
from nearfar.encoder.precision import Policy
from nearfar.encoder.prompts import PromptsConfig, set_prompts
from nearfar.encoder.reshape import open_encoder
from nearfar.pipeline.progress import Silent
from nearfar.train.adapt import adapted
from nearfar.train.config import TrainConfig
from tiny_models import pairs, save_tiny_bert, sentences

TEXTS = sentences(9, 5)
TASKS = ["faq", "", "code"] * 3
PROMPTS = PromptsConfig(tasks={"faq": "given the question find ", "code": "find a function "}, pooled=False)
FAST = {**SMALL, "train.batch_size": 16, "train.learning_rate": 3e-3, "train.evaluations": 4}
ADAPTED = [{"kind": "train", "lora": {"rank": 2}}, {"kind": "train", "freeze": 1}]


def test_each_layer_leaves_the_prompt_out(tiny, tmp_path):
    folder = save_tiny_bert(tmp_path / "three", layers=3)
    encoder = load_encoder(folder)
    set_prompts(encoder.model, PROMPTS)
    store = open_store(encoder)
    prefixes = encoder.prefixes(TEXTS, "query", TASKS)
    ids = store.rows([before + text for before, text in zip(prefixes, TEXTS, strict=True)])
    rows = [encoder.framed(store[int(row)], 64) for row in ids]
    both = replace(encoder, layers=(1, 2))
    with both.training(Policy()), torch.no_grad():
        both.model.eval()
        found = both.embed(rows, "query", Policy(), prefix_tokens=both.prefix_tokens(store, prefixes))
    for part, layers in zip(found.chunk(3, dim=1), (3, 1, 2), strict=True):
        cut = open_encoder(folder, EncoderConfig(layers=layers))
        set_prompts(cut.model, PROMPTS)
        np.testing.assert_allclose(part.numpy(), encode(cut, TEXTS, "query", Policy(), tasks=TASKS), atol=1e-5)


def separate(folder):
    return open_encoder(folder, EncoderConfig(sharing="separate"))


def test_both_of_two_encoders_leave_prompts_out(tiny_folder, tiny):
    encoder = separate(tiny_folder)
    for one in (encoder, tiny):
        set_prompts(one.model, PROMPTS)
    found = encode(encoder, TEXTS, "query", Policy(), tasks=TASKS)
    np.testing.assert_allclose(found, encode(tiny, TEXTS, "query", Policy(), tasks=TASKS), atol=1e-6)


@pytest.mark.parametrize("init", ["default", "corda"])
def test_both_of_two_encoders_are_adapted(tiny_folder, init):
    encoder = separate(tiny_folder)
    before = encode(encoder, TEXTS, "query", Policy())
    config = TrainConfig(lora=LoraConfig(rank=4, init=init), freeze=1)
    adaptation = adapted(encoder, config, sentences(20), policy())
    assert abs(encode(encoder, TEXTS, "query", Policy()) - before).max() <= 1e-5
    trained = [name for name, p in encoder.model.named_parameters() if p.requires_grad]
    assert len(trained) == 2 * 1 * 6 * 2  # encoders, layers, products, matrices
    batch, loss = token_batch(encoder), objective()
    _, expected = plain(encoder, batch, loss, policy())
    _, found = stepped(encoder, batch, loss, policy())
    assert len(expected) == len(trained)
    assert distance(expected, found) <= 1e-5
    adaptation.release()
    assert not any("lora" in name for name in encoder.model.state_dict())
    with pytest.raises(
        BadInput, match=r"train\.lora\.keep: expected one transformer, found one for queries and one for"
    ):
        adapted(encoder, TrainConfig(lora=LoraConfig(rank=4, keep=True)), (), policy())


class Said(Silent):
    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


def fit(base, out, **settings):
    said = Said()
    return nearfar.fit(pairs(80), base=base, out=out, config={**FAST, **settings}, reporter=said), said.lines


def stage_models(run):
    return [load_encoder(run.path / "stages" / line["folder"] / "model") for line in run.record["stages"]]


def test_each_stage_merges_its_own_adapter(tiny, tiny_folder, tmp_path):
    """Two stages, the first with adapters and the second with a frozen layer, against two runs; the base is left."""
    names, weights = set(tiny.model.state_dict()), tiny.fingerprint()
    run, lines = fit(tiny.model, tmp_path / "run", stages=ADAPTED)
    assert sum(" of the weights: " in line for line in lines) == 2
    assert (set(tiny.model.state_dict()), tiny.fingerprint()) == (names, weights)
    assert all(p.requires_grad for p in tiny.model.parameters())
    first, _ = fit(str(tiny_folder), tmp_path / "first", **{"train.lora.rank": 2})
    assert first.record["best_step"] > 0
    second, _ = fit(str(first.path), tmp_path / "second", **{"train.freeze": 1})
    assert second.record["best_step"] > 0
    assert [model.fingerprint() for model in stage_models(run)] == [
        first.record["fingerprint"],
        second.record["fingerprint"],
    ]
    assert run.record["fingerprint"] == second.record["fingerprint"]
    assert run.metrics["base"] == first.metrics["base"]


def test_stages_have_the_prompts_and_examples_of_the_run(tiny, tmp_path):
    prompts = {"query": "find ", "examples": 1, "example_words": 3, "pooled": False}
    stages = [{"kind": "train"}, {"kind": "mine", "negatives": 1}, {"kind": "train", "lora": {"rank": 2}}]
    run, _ = fit(tiny.model, tmp_path / "run", stages=[*stages, {"kind": "merge", "with_base": True}], prompts=prompts)
    assert tiny.prompt("query") == ""  # of the model in memory
    plain, _ = fit(tiny.model, tmp_path / "plain")
    assert run.metrics["base"] == plain.metrics["base"]  # with its own prompts
    made = load_encoder(run.path)
    assert made.prompt("query") == "find "
    assert made.examples is not None
    assert made.fingerprint() == run.record["fingerprint"]
    assert made.model[1].include_prompt is False
    queries = {json.loads(line)["query"] for line in (run.path / "model/examples/pairs.jsonl").read_text().splitlines()}
    assert queries < {query for query, _ in pairs(80)}


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"train.lora": {"rank": 2, "keep": True}}, "train.lora.keep: expected false in a run of several stages"),
        ({"stages": [{"kind": "train", "lora": {"rank": 2, "targets": ["qury"]}}] * 2}, "did you mean 'query'"),
        ({"stages": [ADAPTED[0], {"kind": "train", "freeze": 2}]}, "train.freeze: expected fewer than the model's 2"),
        ({"stages": [{"kind": "augment"}, ADAPTED[0]], "prompts.examples": 2}, "prompts.examples: expected none where"),
    ],
)
def test_what_stages_cannot_do_is_refused_before_anything_is_written(tiny_folder, tmp_path, settings, line):
    with pytest.raises(BadInput) as caught:
        fit(str(tiny_folder), tmp_path / "run", **{"stages": ADAPTED, **settings})
    assert line in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "run").exists()
