"""What an embedding space is identified by."""

import shutil

import pytest
import torch

from nearfar.encoder.load import load_encoder
from nearfar.encoder.precision import Policy
from nearfar.encoder.save import save_encoder
from tiny_models import save_tiny_bert


def prompt(encoder):
    encoder.model.prompts = {"query": "query: "}


def document_prompt(encoder):
    encoder.model.prompts = {"document": "query: "}


def similarity(encoder):
    encoder.model.similarity_fn_name = "dot"


def weight(encoder):
    with torch.no_grad():
        next(encoder.model.parameters()).view(-1)[3] += 1e-3


def pooling(encoder):
    encoder.model[1].pooling_mode = "max"


def pooling_without_prompt(encoder):
    encoder.model[1].include_prompt = False


def length(encoder):
    encoder.model.max_seq_length = 32


CHANGES = [prompt, document_prompt, similarity, weight, pooling, pooling_without_prompt, length]


@pytest.mark.parametrize("change", CHANGES)
def test_it_differs_when_a_vector_may_differ(tiny, change):
    before = tiny.fingerprint()
    assert tiny.fingerprint() == before
    change(tiny)
    assert tiny.fingerprint() != before


def test_all_these_differ_from_each_other(tiny_folder):
    prints = set()
    for change in CHANGES:
        encoder = load_encoder(tiny_folder)
        change(encoder)
        prints.add(encoder.fingerprint())
    assert len(prints) == len(CHANGES)


def test_another_tokenizer_is_another_space(tiny_folder, tmp_path):
    other = shutil.copytree(tiny_folder, tmp_path / "other")
    text = (other / "tokenizer.json").read_text()
    (other / "tokenizer.json").write_text(text.replace('"lowercase": true', '"lowercase": false'))
    assert load_encoder(other).fingerprint() != load_encoder(tiny_folder).fingerprint()


def test_the_folders_name_does_not_matter(tiny_folder, tmp_path):
    other = shutil.copytree(tiny_folder, tmp_path / "under another name")
    assert load_encoder(other).fingerprint() == load_encoder(tiny_folder).fingerprint()


@pytest.mark.parametrize("name", ["tiny", "static"])
def test_it_survives_saving_use_and_training_mode(name, request, tmp_path):
    encoder = request.getfixturevalue(name)
    before = encoder.fingerprint()
    encoder.model.encode(["a text", "and a longer text"])  # sets padding and truncation on the tokenizer
    with encoder.training(Policy()):
        pass
    assert encoder.fingerprint() == before
    assert save_encoder(encoder, tmp_path / "saved", card="") == before
    assert load_encoder(tmp_path / "saved").fingerprint() == before


def test_other_weights_of_the_same_shape(tiny, tmp_path):
    assert load_encoder(save_tiny_bert(tmp_path / "b", seed=1)).fingerprint() != tiny.fingerprint()
