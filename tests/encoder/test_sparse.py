"""Learned sparse encoders: the model's own weights, loading that runs no code, identity by content."""

import json
import shutil

import numpy as np
import pytest
import torch
from sentence_transformers import SparseEncoder

from nearfar.core.errors import BadInput
from nearfar.encoder.precision import Policy
from nearfar.encoder.save import save_encoder
from nearfar.encoder.sparse import SparseModel, load_sparse
from tiny_models import save_tiny_bert, sentences, tiny_static
from tiny_sparse import KINDS, tiny_sparse

TEXTS = [*sentences(60), "", "open " * 100, sentences(1)[0]]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A folder of each kind."""
    folder = tmp_path_factory.mktemp("sparse")
    for kind in KINDS:
        tiny_sparse(kind, folder / kind)
    return folder


@pytest.mark.parametrize("kind", [*(f"{kind}/model" for kind in KINDS), "splade/mlm"])
@pytest.mark.parametrize("role", ["query", "document"])
def test_the_weights_are_those_of_the_model(places, kind, role):
    model = load_sparse(places / kind)
    own = SparseEncoder(str(places / kind), device="cpu")
    call = own.encode_query if role == "query" else own.encode_document
    expected = call(TEXTS, convert_to_sparse_tensor=False).numpy()
    found = model.encode(TEXTS, role, Policy(budget_tokens=100))
    np.testing.assert_allclose(found.toarray(), expected, atol=1e-6)
    assert 0 < found.nnz < 0.7 * expected.size
    assert found.data.min() > 0
    assert model.encode([], role, Policy()).shape == (0, expected.shape[1])


def test_queries_and_documents_go_their_own_ways(places):
    for kind, differ in (("splade", True), ("unicoil", False), ("inference-free", True)):
        model = load_sparse(places / kind / "model")
        asked, stored = (model.encode(TEXTS[:5], role, Policy()).toarray() for role in ("query", "document"))
        assert np.allclose(asked, stored) != differ


def test_a_cosine_is_a_product_of_unit_weights(places):
    model = SparseModel(SparseEncoder(str(places / "splade" / "model"), device="cpu", similarity_fn_name="cosine"))
    asked, stored = (model.encode(TEXTS[:9], role, Policy()) for role in ("query", "document"))
    own = [call(TEXTS[:9]) for call in (model.model.encode_query, model.model.encode_document)]
    np.testing.assert_allclose((asked @ stored.T).toarray(), model.model.similarity(*own).to_dense(), atol=1e-5)


def test_tokens_have_names(places):
    model = load_sparse(places / "splade" / "model")
    vocabulary = model.model.tokenizer.get_vocab()
    assert [model.name(vocabulary[token]) for token in ("stone", "[CLS]")] == ["stone", "[CLS]"]
    assert model.name(10**6) == "dimension 1000000"


def test_the_fingerprint_is_that_of_the_content(places, tmp_path):
    path = places / "splade" / "model"
    model = load_sparse(path)
    before = model.fingerprint()
    model.encode(["text"], "query", Policy())
    copied = load_sparse(shutil.copytree(path, tmp_path / "another name"))
    assert before == model.fingerprint() == copied.fingerprint()
    copied.model.prompts["query"] = "another "
    found = {before, copied.fingerprint(), *(load_sparse(places / kind / "model").fingerprint() for kind in KINDS[1:])}
    settings = json.loads((tmp_path / "another name" / "1_SpladePooling" / "config.json").read_text())
    for name, value in (("pooling_strategy", "sum"), ("activation_function", "log1p_relu")):
        changed = {**settings, name: value}
        (tmp_path / "another name" / "1_SpladePooling" / "config.json").write_text(json.dumps(changed))
        found.add(load_sparse(tmp_path / "another name").fingerprint())
    with torch.no_grad():
        next(model.model.parameters()).add_(1e-3)
    model.model.max_seq_length = 32
    assert len({*found, model.fingerprint()}) == 7
    assert load_sparse(model) is model


def test_what_is_no_sparse_encoder_is_refused(places, tmp_path):
    save_encoder(tiny_static(), tmp_path / "dense", card="")
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "dense", save_tiny_bert(tmp_path / "bert"), tmp_path / "empty", "minilm"):
        with pytest.raises(BadInput, match="expected a sparse encoder, such as SPLADE"):
            load_sparse(folder)
    with pytest.raises(BadInput, match="nothing here: expected a sparse encoder, found nothing; check the name"):
        load_sparse("nothing here")
    euclidean = SparseEncoder(str(places / "splade" / "model"), device="cpu", similarity_fn_name="euclidean")
    with pytest.raises(BadInput, match="expected similarity dot or cosine, found euclidean"):
        load_sparse(euclidean)


def test_nothing_of_a_folder_is_run(places, tmp_path):
    folder = shutil.copytree(places / "splade" / "model", tmp_path / "foreign")
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = "evil.SpladePooling"
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "evil.py").write_text("raise SystemExit('code was run')")
    with pytest.raises(BadInput, match=r"found 'evil.SpladePooling'"):
        load_sparse(folder)
    pickled = shutil.copytree(places / "splade" / "model", tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(BadInput, match="found a pickle, which can run code"):
        load_sparse(pickled)


@pytest.mark.parametrize("weight", [-1.0, float("nan"), 1e6])
def test_weights_that_no_index_can_hold_are_refused(places, weight):
    model = tiny_sparse("inference-free", places / "again")
    with torch.no_grad():
        model[0].sub_modules["query"][0].weight.fill_(weight)
    with pytest.raises(BadInput, match="expected weights of tokens from 0 to 65,504"):
        load_sparse(model).encode(["stone river"], "query", Policy())
