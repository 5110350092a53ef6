"""A model written for other runtimes, run there, and read by a client that has the folder alone."""

import json
import shutil

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer

from command_line import nearfar
from nearfar.core.artifact import read_manifest
from nearfar.core.errors import BadInput, MissingExtra
from nearfar.encoder import exporting
from nearfar.encoder.encode import encode
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.graph import Graph, check_graph
from nearfar.encoder.load import load_encoder
from nearfar.encoder.precision import Policy
from nearfar.encoder.save import save_encoder
from nearfar.pipeline.export_model import export_model
from tiny_models import save_tiny_bert, save_tiny_decoder, sentences, tiny_static

TEXTS = [*sentences(20, 3), "", "word " * 200]
PROMPTS = {"query": "query: ", "document": "read: "}


def saved(folder, transformer, *rest, prompts=PROMPTS, similarity="cosine"):
    modules = [Transformer(str(transformer)), *rest]
    options = {"device": "cpu", "prompts": prompts, "similarity_fn_name": similarity}
    save_encoder(Encoder(SentenceTransformer(modules=modules, **options)), folder, card="")
    return folder


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    base = save_tiny_bert(folder / "base")
    return saved(folder / "model", base, Pooling(32, pooling_mode="mean"), Dense(32, 16), Normalize())


@pytest.fixture(scope="module")
def exported(bert):
    """By the verb, in a process of its own."""
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    done = nearfar("export", bert, "--to", "onnx", "--out", bert.parent / "onnx", "--json")
    assert done.code == 0, done.err
    return bert.parent / "onnx", json.loads(done.out)


def test_the_folder_is_enough_for_a_client(bert, exported):
    folder, found = exported
    ours = load_encoder(bert)
    for role in ("query", "document"):
        prompt = json.loads((folder / "config_sentence_transformers.json").read_text())["prompts"][role]
        there = exporting.embed(folder, "onnx", [prompt + text for text in TEXTS])
        np.testing.assert_allclose(there, encode(ours, TEXTS, role, Policy()), atol=1e-5)
    assert found["cosine"] > 0.9999
    assert found["dimension"] == 16
    meta = read_manifest(folder, "export")
    assert meta["fingerprint"] == found["fingerprint"] == ours.fingerprint()
    assert not (folder / exporting.PROBES).exists()


def test_both_outputs_have_any_number_of_texts_and_tokens(bert, exported):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(exported[0] / "model.onnx"))
    graph = Graph(load_encoder(bert)).eval()
    for rows, length in ((1, 1), (1, 64), (7, 13)):
        ids = torch.from_numpy(np.random.default_rng(0).integers(5, 200, (rows, length)))
        mask = torch.ones_like(ids)
        mask[0, length // 2 + 1 :] = 0
        names = ["sentence_embedding", "token_embeddings"]
        found = session.run(names, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
        with torch.no_grad():
            wanted = graph(ids, mask)
        assert found[0].shape == (rows, 16)
        assert found[1].shape == (rows, length, 32)
        np.testing.assert_allclose(found[0], wanted[0], atol=1e-5)
        real = mask.numpy() == 1
        np.testing.assert_allclose(found[1][real], wanted[1].numpy()[real], atol=1e-4)


def test_a_model_that_finds_others_there_leaves_nothing(bert, tmp_path, monkeypatch):
    """The gate is shown vectors that are off, in the place of those of a runtime."""
    noise = np.random.default_rng(0)

    def off(_model, _to, _precision, texts, folder):
        (folder / "model.onnx").write_bytes(b"")
        return noise.normal(size=(len(texts), 16)).astype(np.float32)

    monkeypatch.setattr("nearfar.pipeline.export_model.convert", off)
    with pytest.raises(BadInput, match=r"onnx in int8: expected top-10 overlap of 0.99 .*; export it in fp32"):
        export_model(bert, "onnx", precision="int8", out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_int8_keeps_the_weights_of_the_layers_so(exported, tmp_path):
    onnx = pytest.importorskip("onnx")
    shutil.copyfile(exported[0] / "model.onnx", tmp_path / "model.onnx")
    exporting._quantise(tmp_path / "model.onnx")
    shutil.copyfile(exported[0] / "tokenizer.json", tmp_path / "tokenizer.json")
    graph = onnx.load(tmp_path / "model.onnx").graph
    assert sum(node.op_type == "MatMulNBits" for node in graph.node) == 12  # six products in each of two layers
    there, here = (exporting.embed(folder, "onnx", TEXTS) for folder in (tmp_path, exported[0]))
    cosines = (there * here).sum(axis=1)
    assert 0.99 < cosines.min() < 0.999999


def test_a_process_that_dies_is_one_line(bert, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting.sys, "executable", shutil.which("false"))
    with pytest.raises(BadInput, match="a model that can be written for onnx, found an end with code 1; serve it"):
        exporting.convert(bert, "onnx", "fp32", ["a"], tmp_path)


@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_a_runtime_that_is_missing_names_its_extra(bert, tmp_path, monkeypatch, target):
    monkeypatch.setattr(exporting.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=rf"pip install 'nearfar\[{target}\]'"):
        export_model(bert, target, out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
@pytest.mark.parametrize("is_causal", [True, False])
@pytest.mark.parametrize("pooling", ["lasttoken", "mean"])
def test_the_graph_is_the_encoder(tmp_path, kind, is_causal, pooling):
    """Of decoders too, in both attentions; before any runtime."""
    base = save_tiny_decoder(tmp_path / "base", kind)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "is_causal": is_causal}))
    encoder = load_encoder(saved(tmp_path / "model", base, Pooling(32, pooling_mode=pooling)))
    rows = [np.arange(5, 5 + length, dtype=np.int32) for length in (3, 9, 1, 30)]
    features = encoder.features(rows, "cpu")
    with torch.no_grad():
        found, _ = Graph(encoder).eval()(features["input_ids"], features["attention_mask"])
        with encoder.inference(Policy()):
            wanted = encoder.embed(rows, "document", Policy())
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def refused(folder):
    with pytest.raises(BadInput, match="expected one transformer that reads a text and its prompt") as caught:
        check_graph(load_encoder(folder), folder)
    return str(caught.value)


def test_what_is_not_one_graph_is_one_line(tmp_path, bert):
    save_encoder(tiny_static(), tmp_path / "static", card="")
    assert "a token table" in refused(tmp_path / "static")
    pooling = Pooling(32, pooling_mode="mean", include_prompt=False)
    assert "leaves prompts out" in refused(saved(tmp_path / "without", bert.parent / "base", pooling))
    pooling = Pooling(32, pooling_mode="mean", include_prompt=False)
    plain = saved(tmp_path / "plain", bert.parent / "base", pooling, prompts={})
    check_graph(load_encoder(plain), plain)  # there is nothing that it would leave out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--to", "onnx"), "--out: expected a folder to write, found none"),
        (("--to", "onnx", "--precision", "int4", "--out", "out"), "--precision: expected fp32 or int8, found 'int4'"),
    ],
)
def test_wrong_options_are_one_line(bert, arguments, line):
    done = nearfar("export", bert, *arguments)
    assert done.code == 2
    assert line in done.lines[-1]


def test_without_a_target_it_says_who_serves_the_folder(bert):
    done = nearfar("export", bert)
    assert [line.split()[:2] for line in done.out.splitlines()] == [
        ["sentence-transformers", "yes"], ["TEI", "yes"], ["vLLM", "yes"], ["infinity", "yes"]
    ]  # fmt: skip
    assert "prompt_name" in done.out
    told = json.loads(nearfar("export", bert, "--json").out)["runtimes"]
    assert [one["fits"] for one in told] == [True] * 4
