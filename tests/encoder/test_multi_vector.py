"""Scores of several vectors a document against loops over their tokens."""

import json
import shutil

import numpy as np
import pytest
import torch
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

from nearfar.core.errors import BadInput
from nearfar.encoder.encode import encode
from nearfar.encoder.kind import kind_of
from nearfar.encoder.load import load_encoder
from nearfar.encoder.multi_vector import FirstTokens, MultiVector
from nearfar.encoder.pair_scorer import load_scorer
from nearfar.encoder.precision import Policy
from nearfar.encoder.reranker import Reranker, new_reranker, save_reranker
from nearfar.encoder.save import save_encoder
from tiny_models import pairs, sentences, tiny_static

PAIRS = [*pairs(12), *zip(sentences(12, 1, 60), sentences(12, 2, 60), strict=True), ("one query", sentences(1)[0])]


def no_encoder():
    raise AssertionError("the index's model is not needed")


@pytest.fixture(scope="module")
def folder(tiny_folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("late") / "interaction"
    modules = [Transformer(str(tiny_folder)), MultiVectorMask(), Normalize(module_input_name="token_embeddings")]
    MultiVectorEncoder(modules=modules, device="cpu").save(str(place), create_model_card=False)
    return place


def test_a_score_is_the_sum_of_each_query_tokens_best_match(folder):
    model = MultiVectorEncoder(str(folder), device="cpu")
    expected = []
    for query, document in PAIRS:
        left, right = (part.tolist() for part in (model.encode_query(query), model.encode_document(document)))
        expected.append(sum(max(np.dot(one, other) for other in right) for one in left))
    scorer = load_scorer(folder, no_encoder)
    assert isinstance(scorer, MultiVector)
    done = []
    np.testing.assert_allclose(scorer.scores(PAIRS, Policy(), on_progress=done.append), expected, rtol=1e-4)
    assert np.ptp(expected) > 1
    assert sum(done) == len(PAIRS)
    assert scorer.scores([], Policy()).shape == (0,)


def test_the_kind_is_what_the_folder_says(folder, tiny_folder, tmp_path):
    assert kind_of(str(folder)) == "multi-vector"
    for name, change in {"PyLate": {"model_type": "ColBERT"}, "none": {"model_type": "SentenceTransformer"}}.items():
        copy = shutil.copytree(folder, tmp_path / name)
        settings = copy / "config_sentence_transformers.json"
        settings.write_text(json.dumps(json.loads(settings.read_text()) | change))
    assert kind_of(str(tmp_path / "PyLate")) == "multi-vector"
    assert kind_of(str(tmp_path / "none")) == "bi-encoder"
    theirs = shutil.copytree(tiny_folder, tmp_path / "theirs")
    config = theirs / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"architectures": ["HF_ColBERT"]}))
    assert kind_of(str(theirs)) == "multi-vector"
    save_reranker(new_reranker(tiny_folder, 64, 0), tmp_path / "cross")
    assert isinstance(load_scorer(tmp_path / "cross", no_encoder), Reranker)


def test_what_is_not_safe_or_no_scorer_is_one_line(folder, tiny_folder, tmp_path):
    pickled = shutil.copytree(folder, tmp_path / "pickled")
    torch.save({}, pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    foreign = shutil.copytree(folder, tmp_path / "foreign")
    modules = json.loads((foreign / "modules.json").read_text())
    (foreign / "modules.json").write_text(json.dumps([*modules[:1], {**modules[1], "type": "evil.Module"}]))
    for name, words in {
        "pickled": "expected weights as safetensors, found a pickle",
        "foreign": "found 'evil.Module'",
        "nothing": "expected a model folder, found nothing",
    }.items():
        with pytest.raises(BadInput, match=words):
            load_scorer(str(tmp_path / name), no_encoder)
    with pytest.raises(BadInput, match="expected a cross-encoder or a multi-vector encoder, found a bi-encoder"):
        load_scorer(tiny_folder, no_encoder)


def test_the_fingerprint_is_of_the_weights(folder, tmp_path):
    scorer = load_scorer(folder, no_encoder)
    first = scorer.fingerprint()
    assert first == load_scorer(shutil.copytree(folder, tmp_path / "copy"), no_encoder).fingerprint()
    with torch.no_grad():
        next(scorer.model.parameters())[3, 4] += 1e-3
    assert scorer.fingerprint() != first


@pytest.mark.parametrize("count", [1, 3, 500])
def test_first_tokens_are_those_of_the_document_against_one_vector(tiny_folder, count):
    encoder = load_encoder(tiny_folder)
    scorer = load_scorer(f"me:{count}", lambda: encoder)
    assert isinstance(scorer, FirstTokens)
    expected = []
    for query, document in PAIRS:
        asked = encode(encoder, [query], "query", Policy())[0]
        tokens = encoder.model.encode_document(document, output_value="token_embeddings").numpy()[:count]
        expected.append(max(float(token @ asked) / np.linalg.norm(token) for token in tokens))
    np.testing.assert_allclose(scorer.scores(PAIRS, Policy()), expected, atol=1e-5)


def test_first_tokens_need_a_transformer(tmp_path):
    with pytest.raises(BadInput, match="found one of a token table"):
        load_scorer("me:8", tiny_static)
    save_encoder(tiny_static(), tmp_path / "table", card="")
    with pytest.raises(BadInput, match="me:0"):
        load_scorer("me:0", tiny_static)
