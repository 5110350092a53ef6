"""A cross-encoder in nearfar's hands scores as Sentence Transformers' own `predict` does."""

import json
import shutil

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder
from torch import nn
from transformers import BertForSequenceClassification

from nearfar.core.errors import BadInput
from nearfar.encoder.kind import kind_of
from nearfar.encoder.load import load_encoder
from nearfar.encoder.precision import Policy
from nearfar.encoder.reranker import load_reranker, new_reranker, save_reranker
from nearfar.encoder.save import save_encoder
from tiny_models import pairs, sentences, tiny_static, tiny_tokenizer

PAIRS = [*pairs(20), *zip(sentences(20, 1, 60), sentences(20, 2, 60), strict=True)]  # some are cut at 64 tokens


@pytest.fixture(scope="module")
def folder(tiny_folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("reranker") / "cross"
    made = new_reranker(tiny_folder, 64, 0)
    with torch.no_grad():  # far from zero, so that scores differ
        made.model.transformers_model.classifier.weight.mul_(30)
    save_reranker(made, place)
    return place


@pytest.mark.parametrize("budget", [64, 4096])
def test_scores_are_those_of_predict(folder, budget):
    theirs = CrossEncoder(str(folder), device="cpu").predict(PAIRS)
    ours = load_reranker(folder).scores(PAIRS, Policy(budget_tokens=budget))
    assert np.ptp(theirs) > 1
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_scores_are_raw_where_the_folder_states_a_sigmoid(folder, tmp_path):
    model = CrossEncoder(str(folder), activation_fn=nn.Sigmoid(), device="cpu")
    model.save(str(tmp_path / "sigmoid"), create_model_card=False)
    found = load_reranker(tmp_path / "sigmoid").scores(PAIRS, Policy())
    np.testing.assert_allclose(1 / (1 + np.exp(-found)), model.predict(PAIRS), atol=1e-5)


def test_the_last_product_is_exact_in_bf16(folder):
    reranker = load_reranker(folder)
    exact, half = (reranker.scores(PAIRS, Policy(precision=kind)) for kind in ("fp32", "bf16"))
    np.testing.assert_allclose(half, exact, atol=0.1)
    assert len(np.unique(half)) == len(PAIRS)
    assert not np.array_equal(half, torch.tensor(half).bfloat16().float().numpy())
    assert reranker.model.keep_in_fp32_modules == []


def test_a_pair_without_a_token_has_a_score_of_its_own(folder):
    reranker, empty = load_reranker(folder), ("\x1e", "\x1f")
    assert reranker.model.preprocess([empty])["input_ids"].shape[1] == 0
    alone = reranker.scores([empty, empty], Policy())
    beside = reranker.scores([PAIRS[0], empty], Policy())
    assert np.isfinite(alone).all()
    np.testing.assert_allclose([*alone, beside[1]], alone[0], atol=1e-5)
    np.testing.assert_allclose(beside[0], reranker.scores([PAIRS[0]], Policy())[0], atol=1e-5)


def test_progress_counts_every_pair(folder):
    done = []
    load_reranker(folder).scores(PAIRS, Policy(budget_tokens=64), on_progress=done.append)
    assert sum(done) == len(PAIRS)
    assert len(done) > 4
    assert load_reranker(folder).scores([], Policy()).shape == (0,)


def test_the_fingerprint_is_of_weights_tokenizer_and_limit(folder, tiny_folder, tmp_path):
    reranker = load_reranker(folder)
    first = reranker.fingerprint()
    assert first == load_reranker(shutil.copytree(folder, tmp_path / "copy")).fingerprint()
    assert first != new_reranker(tiny_folder, 64, 1).fingerprint()  # another head
    assert first != new_reranker(folder, 32, 0).fingerprint()  # another limit
    assert first == new_reranker(folder, 64, 1).fingerprint()  # a cross-encoder keeps its head
    with torch.no_grad():
        next(reranker.model.parameters())[3, 4] += 1e-3
    assert first != reranker.fingerprint()


def test_the_kind_is_read_in_the_folder(folder, tiny_folder, tmp_path):
    assert kind_of(str(folder)) == "cross-encoder"
    assert kind_of(str(tiny_folder)) == "bi-encoder"
    save_encoder(load_encoder(tiny_folder), tmp_path / "bi", card="")
    assert kind_of(str(tmp_path / "bi")) == "bi-encoder"
    BertForSequenceClassification.from_pretrained(tiny_folder, num_labels=1).save_pretrained(tmp_path / "bare")
    assert kind_of(str(tmp_path / "bare")) == "cross-encoder"
    (tmp_path / "run").mkdir()
    shutil.copytree(tmp_path / "bi", tmp_path / "run" / "model")
    assert kind_of(str(tmp_path / "run")) == "bi-encoder"


def test_what_cannot_be_used_is_one_line(folder, tiny_folder, tmp_path):
    labels = BertForSequenceClassification.from_pretrained(tiny_folder, num_labels=3)
    labels.save_pretrained(tmp_path / "labels")
    tiny_tokenizer().save_pretrained(tmp_path / "labels")
    pickled = shutil.copytree(folder, tmp_path / "pickled")
    torch.save({}, pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    save_encoder(tiny_static(), tmp_path / "static", card="")
    (tmp_path / "empty").mkdir()
    broken = shutil.copytree(folder, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no weights")
    for name, words in {
        "labels": "expected a cross-encoder with one score a pair, found 3 scores",
        "pickled": "expected weights as safetensors, found a pickle",
        "static": "expected a transformer, with a config.json, found none",
        "empty": "expected a transformer, with a config.json, found none",
        "broken": "expected a loadable model",
        "nothing": "expected a model folder, found nothing",
    }.items():
        with pytest.raises(BadInput) as caught:
            load_reranker(str(tmp_path / name))
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_run_of_a_bi_encoder_is_a_base(tiny_folder, tmp_path):
    save_encoder(load_encoder(tiny_folder), tmp_path / "model", card="")
    made = new_reranker(tmp_path, 64, 0)  # a run folder
    inner = load_encoder(tiny_folder).model.transformers_model.state_dict()
    got = made.model.transformers_model.base_model.state_dict()
    assert all(torch.equal(got[name], inner[name]) for name in inner if not name.startswith("pooler"))
    settings = json.loads((tmp_path / "model" / "config_sentence_transformers.json").read_text())
    assert settings["model_type"] == "SentenceTransformer"
