"""Vectors over HTTP are those of the library."""

import base64

import numpy as np
import pytest

from nearfar.encoder.encode import encode, open_store
from nearfar.encoder.load import load_encoder
from nearfar.encoder.precision import Policy
from serve.conftest import TEXTS


@pytest.fixture(scope="module")
def encoder(place):
    return load_encoder(place / "model")


def embedded(client, **body):
    done = client.post("/v1/embeddings", json={"model": "small", **body})
    assert done.status_code == 200, done.text
    return done.json()


def vectors_of(answer):
    return np.array([row["embedding"] for row in answer["data"]], np.float32)


def test_openai_gives_the_vectors_of_the_library(client, encoder):
    texts = [*TEXTS[:7], TEXTS[3], "x"]
    answer = embedded(client, input=texts)
    assert [row["index"] for row in answer["data"]] == list(range(9))
    np.testing.assert_allclose(vectors_of(answer), encode(encoder, texts, "document", Policy()), atol=1e-6)
    store = open_store(encoder)
    rows = store.rows(texts)
    assert answer["usage"]["prompt_tokens"] == store.full_lengths[rows].sum()


def test_a_text_alone_is_that_of_a_list_and_comes_the_same_from_the_cache(client):
    one, listed = embedded(client, input=TEXTS[20]), embedded(client, input=[TEXTS[20]])
    assert one == listed


def test_base64_is_the_same_numbers(client):
    numbers, coded = (embedded(client, input=TEXTS[:3], encoding_format=form) for form in ("float", "base64"))
    decoded = [np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in coded["data"]]
    np.testing.assert_array_equal(np.stack(decoded), vectors_of(numbers))


def test_token_ids_are_their_text(client, encoder):
    store = open_store(encoder)
    ids = [store[row].tolist() for row in store.rows(TEXTS[:3])]
    np.testing.assert_allclose(vectors_of(embedded(client, input=ids)), vectors_of(embedded(client, input=TEXTS[:3])),
                               atol=1e-6)  # fmt: skip
    assert vectors_of(embedded(client, input=ids[0])).shape == (1, encoder.dimension)


def test_fewer_dimensions_are_the_first_of_length_one(client):
    whole, cut = (
        vectors_of(embedded(client, input=TEXTS[:3])),
        vectors_of(embedded(client, input=TEXTS[:3], dimensions=4)),
    )
    np.testing.assert_allclose(cut, whole[:, :4] / np.linalg.norm(whole[:, :4], axis=1, keepdims=True), atol=1e-6)


def test_tei_embeds_the_same(client):
    done = client.post("/embed", json={"inputs": TEXTS[:2], "normalize": True})
    np.testing.assert_allclose(done.json(), vectors_of(embedded(client, input=TEXTS[:2])), atol=1e-6)
    np.testing.assert_allclose(client.post("/embed", json={"inputs": TEXTS[0]}).json(), done.json()[:1], atol=1e-6)


@pytest.mark.parametrize(("body", "status", "words"), [
    ({"input": "a", "model": "other"}, 404, "expected the model 'small', found 'other'"),
    ({"input": ""}, 422, "at least 1 character"),
    ({"input": []}, 422, "input"),
    ({"input": [[]]}, 422, "input"),
    ({"input": [10**6]}, 422, "expected token ids below"),
    ({"input": [-1]}, 422, "input"),
    ({"input": "a", "dimensions": 10_000}, 422, "dimensions: expected at most"),
    ({"input": "a", "dimensions": 0}, 422, "dimensions"),
    ({"input": ["a"] * 2049}, 413, "expected at most 2048 texts, found 2049"),
    ({"input": None}, 422, "input"),
])  # fmt: skip
def test_bad_input_is_told_as_openai_tells_it(client, body, status, words):
    done = client.post("/v1/embeddings", json={"model": "small", **body})
    assert done.status_code == status
    error = done.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert words in error["message"]


@pytest.mark.parametrize("body", [b"", b"{", b'{"model": "small", "input": "\\ud800"}', b"[" * 100_000, b"\xff",
                                  b'{"model": "small", "input": NaN}'])  # fmt: skip
def test_a_broken_body_is_refused(client, body):
    done = client.post("/v1/embeddings", content=body, headers={"content-type": "application/json"})
    assert done.status_code in {400, 422}
    assert done.json()["error"]["message"]


def test_too_large_a_body_is_refused(client):
    assert client.post("/v1/embeddings", json={"model": "small", "input": "a" * (17 << 20)}).status_code == 413
