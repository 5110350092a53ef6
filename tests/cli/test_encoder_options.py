"""The encoder's settings through the verbs: fit, certify, eval, encode."""

import numpy as np
import pytest

import nearfar
from command_line import nearfar as command
from command_line import options, write_pairs
from nearfar.core.errors import BadInput
from nearfar.encoder.config import EncoderConfig
from nearfar.encoder.load import load_encoder
from nearfar.encoder.reshape import open_encoder
from tiny_models import pairs, sentences


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("data") / "pairs.jsonl")


def test_fit_trains_the_encoder_that_is_asked_for(data, folders, tmp_path):
    asked = {"encoder__pooling": "latent_attention", "encoder__latents": 5, "encoder__attention": "bidirectional",
             "encoder__layers": 2, "encoder__sharing": "separate"}  # fmt: skip
    base, out = folders["left"], tmp_path / "run"
    done = command("fit", "--data", data, "--base", base, "--out", out, *options(train__epochs=1, **asked))
    assert done.code == 0, done
    encoder = load_encoder(out)
    assert [model.config.num_hidden_layers for model in encoder.transformers] == [2, 2]
    assert not encoder.is_shared
    weights = [encoder.route(role)[1].array.detach().numpy() for role in ("query", "document")]
    assert not np.array_equal(*weights)  # trained apart
    card = (out / "model" / "README.md").read_text()
    assert 'model = load_encoder("path/of/this/folder").model\nvectors = model.encode_query(["a question"])' in card
    assert command("search", out, "open the socket").code == 0
    measured = nearfar.Run.open(out).record["metrics"]["base"]["ndcg@10"]  # of the base as it was
    config = EncoderConfig(pooling="latent_attention", latents=5, attention="bidirectional", layers=2)
    as_it_was, as_it_began = (
        nearfar.evaluate(m, str(data)).metrics["ndcg@10"] for m in (base, open_encoder(base, config))
    )
    assert measured == pytest.approx(as_it_was, abs=2e-3)  # in another precision
    assert abs(measured - as_it_began) > 5e-3


def test_warnings_are_said(data, tiny_folder, tmp_path):
    done = command("fit", "--data", data, "--base", tiny_folder, "--out", tmp_path / "run",
                   *options(train__epochs=1, encoder__pooling="last"))  # fmt: skip
    assert "warning: encoder.pooling: last is for causal decoders" in done.err


def test_certify_sees_it(data, folders):
    settings = {"encoder.pooling": "multi_layer", "encoder.sharing": "separate"}
    found = nearfar.certify(
        str(data), base=str(folders["left"]), config=settings, pairs=8, losses=["info_nce", "cosent"]
    )
    assert found.ok
    used = open_encoder(folders["left"], EncoderConfig(pooling="layer_mix")).model
    used.encode(["a text"])  # now its layers have hooks of the library, which cannot be pickled
    with pytest.raises(BadInput, match="base: expected a model that can be sent to another process"):
        nearfar.certify(str(data), base=used, pairs=8)


def test_the_first_layers_at_inference(data, folders, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(sentences(5)))
    for out, more in (("all.npy", []), ("one.npy", ["--layers", "1"])):
        assert command("encode", folders["left"], texts, "--out", tmp_path / out, *more).code == 0
    whole, short = (np.load(tmp_path / name) for name in ("all.npy", "one.npy"))
    assert np.abs(whole - short).max() > 1e-2
    assert command("eval", folders["left"], "--data", data, "--layers", "1").code == 0
    model = load_encoder(folders["left"])
    nearfar.evaluate(model, pairs(40), layers=1)
    assert model.transformers[0].config.num_hidden_layers == 3  # a model in memory stays as it is


BAD = [
    (["--encoder.pooling", "latent_atention"], "expected a known pooling (did you mean 'latent_attention'?)"),
    (["--encoder.pooling", "cls"], "cls on a causal decoder, whose first token sees itself alone; use last"),
    (["--encoder.layers", "9"], "encoder.layers: expected at most the 3 layers of the model, found 9"),
    (["--encoder.sharing", "separate", "--train.shard", "true"], "train.shard: expected one transformer"),
    (["--base", "static", "--encoder.pooling", "max"], "encoder.pooling: expected nothing for a static encoder"),
]


@pytest.mark.parametrize(("more", "words"), BAD)
def test_bad_settings_are_one_line_and_nothing_is_written(data, folders, tmp_path, more, words):
    done = command("fit", "--base", folders["left"], "--data", data, "--out", tmp_path / "run", *more)
    assert done.code == 2
    assert len(done.lines) == 1
    assert words in done.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("verb", ["eval", "encode"])
def test_too_many_layers_are_told(data, folders, tmp_path, verb):
    texts = tmp_path / "texts.txt"
    texts.write_text("a text\n")
    arguments = ["--data", data] if verb == "eval" else [texts, "--out", tmp_path / "vectors.npy"]
    done = command(verb, folders["left"], *arguments, "--layers", "4")
    assert done.code == 2
    assert "expected at most the 3 layers of the model, found 4" in done.err
    done = command(verb, folders["left"], *arguments, "--layers", "0")
    assert "options: 'layers': expected greater than or equal to 1" in done.err
