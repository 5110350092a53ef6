"""Ranking and finding over HTTP are those of the library."""

import numpy as np
import pytest

from nearfar.search.index import Index
from serve.conftest import TEXTS

QUERY = "stone river light"


@pytest.fixture(scope="module")
def index(place):
    return Index.open(place)


def test_cohere_and_tei_rank_alike(client):
    body = {"query": QUERY, "documents": TEXTS[:9]}
    v1, v2 = (client.post(f"/v{n}/rerank", json=body).json()["results"] for n in (1, 2))
    assert v1 == v2 == client.post("/rerank", json=body).json()["results"]
    assert sorted(row["index"] for row in v1) == list(range(9))
    scores = [row["relevance_score"] for row in v1]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    tei = client.post("/rerank", json={"query": QUERY, "texts": TEXTS[:9], "return_text": True}).json()
    assert [row["index"] for row in tei] == [row["index"] for row in v1]
    assert [row["text"] for row in tei] == [TEXTS[row["index"]] for row in v1]


def test_raw_scores_are_similarities(client, index):
    raw = client.post("/rerank", json={"query": QUERY, "texts": TEXTS[:5], "raw_scores": True}).json()
    vectors = index.generation.vectors[:5]
    expected = vectors @ index.asked([QUERY], "", "dense").vectors[0]
    assert {row["index"]: pytest.approx(row["score"], abs=1e-5) for row in raw} == dict(enumerate(expected.tolist()))


def test_the_best_alone_with_its_document(client):
    body = {"query": QUERY, "documents": [{"text": text} for text in TEXTS[:9]], "top_n": 1, "return_documents": True}
    [best] = client.post("/v1/rerank", json=body).json()["results"]
    assert best["document"]["text"] == TEXTS[best["index"]]


@pytest.mark.parametrize("mode", ["dense", "lexical", "hybrid"])
def test_search_finds_what_the_library_finds(client, index, mode):
    body = {"query": QUERY, "k": 7, "mode": mode, "filter": "year >= 2010", "explain": True}
    found = client.post("/search", json=body).json()
    expected = index.search(QUERY, 7, mode=mode, filter="year >= 2010", explain=True)
    assert [hit["id"] for hit in found["hits"]] == [hit.id for hit in expected]
    np.testing.assert_allclose([hit["score"] for hit in found["hits"]], [hit.score for hit in expected], atol=1e-5)
    assert [hit["metadata"] for hit in found["hits"]] == [dict(hit.metadata) for hit in expected]
    assert [hit["explanation"]["matched"].keys() for hit in found["hits"]] == [
        hit.explanation.matched.keys() for hit in expected
    ]


def test_a_lost_document_is_told(client):
    lost = client.post("/search", json={"query": QUERY, "k": 1, "why_not": "nowhere"}).json()["why_not"]
    assert lost["stage"] == "not indexed"


def test_similar_documents_are_the_nearest_others(client, index):
    found = client.get("/similar/d5", params={"k": 5}).json()["hits"]
    similarity = index.generation.vectors @ index.generation.vectors[5]
    similarity[5] = -2
    assert [hit["id"] for hit in found] == [f"d{row}" for row in np.argsort(-similarity, kind="stable")[:5]]


@pytest.mark.parametrize(("body", "words"), [
    ({"query": " "}, "expected words"),
    ({"query": "a", "filter": "year >"}, "filter, character 7"),
    ({"query": "a", "k": 0}, "k: "),
    ({"query": "a", "k": 1001}, "k: "),
    ({"query": "a", "mode": "both"}, "mode: "),
    ({"query": "a", "task": "code"}, "expected one that the model has a prompt for"),
])  # fmt: skip
def test_a_bad_question_is_refused(client, body, words):
    done = client.post("/search", json=body)
    assert done.status_code == 422
    assert words in done.json()["error"]["message"]


def test_a_reranker_that_is_not_there(client):
    done = client.post("/search", json={"query": "a", "rerank": True})
    assert done.status_code == 404
    assert "expected a service with a reranker" in done.json()["error"]["message"]


def test_a_document_that_is_not_there(client):
    done = client.get("/similar/none")
    assert done.status_code == 404
    assert "'none'" in done.json()["error"]["message"]
    assert client.get(f"/similar/{'x' * 2000}").status_code == 422
