"""Encoding against `SentenceTransformer.encode`."""

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling

from nearfar.encoder.encode import encode, open_store
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.load import load_encoder
from nearfar.encoder.precision import Policy
from tiny_models import save_tiny_bert, sentences

PROMPTS = {"query": "query : ", "document": "passage : "}
TEXTS = [*sentences(60, 3), "word", "Zebra xylophone über 日本", " ".join(["stone river"] * 400)]


def worst(ours, theirs):
    return float(np.abs(np.asarray(ours) - np.asarray(theirs)).max())


def cosines(one, other):
    return (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def prompted(folder, **options):
    """The tiny model with prompts, pooling options and similarity as its folder may state them."""
    model = load_encoder(folder).model
    model.prompts = dict(PROMPTS)
    model[1].include_prompt = options.get("include_prompt", True)
    model.similarity_fn_name = options.get("similarity", "cosine")
    return Encoder(model)


@pytest.mark.parametrize("name", ["tiny", "static", "minilm"])
def test_fp32_vectors_are_those_of_sentence_transformers(name, request):
    encoder = request.getfixturevalue(name)
    theirs = encoder.model.encode(TEXTS, normalize_embeddings=True)
    for role in ("query", "document"):
        ours = encode(encoder, TEXTS, role, Policy())
        assert ours.dtype == np.float32
        assert ours.shape == (len(TEXTS), encoder.dimension)
        assert worst(ours, theirs) <= 1e-5


@pytest.mark.parametrize("name", ["tiny", "minilm"])
def test_bf16_vectors_are_near(name, request):
    encoder = request.getfixturevalue(name)
    ours = encode(encoder, TEXTS, "document", Policy(precision="bf16"))
    theirs = encoder.model.encode(TEXTS, normalize_embeddings=True)
    assert ours.dtype == np.float32
    assert cosines(ours, theirs).min() >= 0.998
    assert worst(ours, theirs) > 0


@pytest.mark.parametrize("budget", [1, 40, 100_000])
def test_order_and_budget_do_not_matter(tiny, budget):
    shuffled = np.random.default_rng(0).permutation(len(TEXTS))
    reference = encode(tiny, TEXTS, "document", Policy())
    ours = encode(tiny, [TEXTS[i] for i in shuffled], "document", Policy(budget_tokens=budget))
    assert worst(ours, reference[shuffled]) <= 1e-5


def test_the_same_text_twice_and_progress(tiny):
    done = []
    ours = encode(tiny, ["a house", "stone", "a house"], "query", Policy(budget_tokens=1), on_progress=done.append)
    assert worst(ours[0], ours[2]) == 0
    assert sum(done) == 3


@pytest.mark.parametrize("name", ["tiny", "static"])
def test_no_texts(name, request):
    encoder = request.getfixturevalue(name)
    assert encode(encoder, [], "query", Policy()).shape == (0, encoder.dimension)


@pytest.mark.parametrize("name", ["tiny", "static"])
def test_a_text_without_tokens(name, request):
    encoder = request.getfixturevalue(name)
    ours = encode(encoder, ["", "stone", " "], "query", Policy())
    assert np.isfinite(ours).all()
    assert worst(ours, encoder.model.encode(["", "stone", " "], normalize_embeddings=True)) <= 1e-5


def test_a_store_is_read_again(tiny):
    store = open_store(tiny)
    first = encode(tiny, TEXTS, "document", Policy(), store=store)
    size = len(store)
    assert worst(encode(tiny, TEXTS, "document", Policy(), store=store), first) == 0
    assert len(store) == size == len(set(TEXTS))


def test_a_full_store_and_a_tokenizer_that_pads(tiny_folder):
    """As in a resumed run: nothing is left to tokenise, and padding is as the model's folder has it."""
    first = load_encoder(tiny_folder)
    store = open_store(first)
    expected = encode(first, TEXTS, "document", Policy(), store=store)
    again = load_encoder(tiny_folder)
    assert worst(encode(again, TEXTS, "document", Policy(), store=store), expected) == 0
    assert [len(part) for part in again.framing] == [1, 1]


@pytest.mark.parametrize("include_prompt", [True, False])
def test_prompts_are_put_before_texts(tiny_folder, include_prompt):
    encoder = prompted(tiny_folder, include_prompt=include_prompt)
    plain = encode(load_encoder(tiny_folder), TEXTS, "query", Policy())
    vectors = {}
    for role in ("query", "document"):
        vectors[role] = encode(encoder, TEXTS, role, Policy())
        theirs = encoder.model.encode(TEXTS, prompt_name=role, normalize_embeddings=True)
        assert worst(vectors[role], theirs) <= 1e-5
        assert worst(vectors[role], plain) > 1e-2
    assert worst(vectors["query"], vectors["document"]) > 1e-2


def test_sentence_transformers_own_calls_for_queries_and_documents_agree(tiny_folder):
    encoder = prompted(tiny_folder)
    queries = encoder.model.encode_query(TEXTS, normalize_embeddings=True)
    documents = encoder.model.encode_document(TEXTS, normalize_embeddings=True)
    assert worst(encode(encoder, TEXTS, "query", Policy()), queries) <= 1e-5
    assert worst(encode(encoder, TEXTS, "document", Policy()), documents) <= 1e-5


@pytest.mark.parametrize(
    ("prompts", "default", "expected"),
    [
        ({}, None, ("", "")),
        ({"query": "q: ", "passage": "p: "}, None, ("q: ", "p: ")),
        ({"query": "q: ", "document": ""}, None, ("q: ", "")),
        ({"any": "x: "}, "any", ("x: ", "x: ")),
        ({"any": "x: ", "query": "q: "}, "any", ("q: ", "x: ")),
    ],
)
def test_the_prompt_of_each_role(tiny, prompts, default, expected):
    tiny.model.prompts, tiny.model.default_prompt_name = prompts, default
    assert (tiny.prompt("query"), tiny.prompt("document")) == expected


def test_a_dot_product_model_is_not_normalised(tiny_folder):
    encoder = prompted(tiny_folder, similarity="dot")
    ours = encode(encoder, TEXTS, "query", Policy())
    assert encoder.similarity == "dot"
    assert np.abs(np.linalg.norm(ours, axis=1) - 1).min() > 1e-3
    assert worst(ours, encoder.model.encode(TEXTS, prompt_name="query")) <= 1e-4
    normal = encode(prompted(tiny_folder), TEXTS, "query", Policy())
    assert np.linalg.norm(normal, axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("mode", ["cls", "max", "mean", "lasttoken", "weightedmean"])
@pytest.mark.parametrize("side", ["right", "left"])
def test_every_pooling_with_padding_on_either_side(tmp_path, mode, side):
    base = load_encoder(save_tiny_bert(tmp_path / "bert", side=side)).model
    model = SentenceTransformer(modules=[base[0], Pooling(32, pooling_mode=mode)], device="cpu")
    encoder = Encoder(model)
    assert base.tokenizer.padding_side == side
    if side == "left":  # BERT numbers positions from the row's start, so compare rows without padding as well
        ours = encode(encoder, TEXTS[:5], "query", Policy(budget_tokens=1))
        theirs = np.stack([model.encode(text, normalize_embeddings=True) for text in TEXTS[:5]])
    else:
        ours = encode(encoder, TEXTS, "query", Policy())
        theirs = model.encode(TEXTS, normalize_embeddings=True)
    assert worst(ours, theirs) <= 1e-5
    same = ["stone river", "river stone", "light paper stone"]
    assert worst(encode(encoder, same, "query", Policy()), model.encode(same, normalize_embeddings=True)) <= 1e-5


def test_training_leaves_the_mode_and_gradients_reach_the_weights(tiny):
    with tiny.training(Policy()):
        assert tiny.model.training
        row = tiny.framed(np.array([5, 6, 7], np.int32), 64)
        assert tiny.embed([row], "query", Policy()).requires_grad
    assert not tiny.model.training
    assert not torch.is_inference_mode_enabled()
