"""Documents that requests add and delete are found, and gone, as the command line's are."""

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from fastapi.testclient import TestClient

from nearfar.encoder.precision import Policy
from nearfar.pipeline import indexing
from nearfar.pipeline.served import ServedIndex
from nearfar.search.index import Index
from nearfar.serve import living
from nearfar.serve.app import app_of
from nearfar.serve.config import ServeConfig
from nearfar.serve.service import Service


@pytest.fixture
def own(place, tmp_path):
    return shutil.copytree(place, tmp_path / "small")


@pytest.fixture
def writing(own):
    service = Service.open(own, ServeConfig(allow_writes=True, most_texts=50), policy=Policy())
    service.writable = ServedIndex(
        service.index.path, service.encoder, partial(service.batcher.embed_now, role="document")
    )
    with TestClient(app_of(service), base_url="http://localhost") as client:
        yield client


def best(client, query):
    return client.post("/search", json={"query": query, "k": 1, "mode": "lexical"}).json()["hits"][0]["id"]


def test_what_is_added_is_found_at_once_and_what_is_deleted_is_gone(writing, own):
    new = {"id": "new", "text": "zebra umbrella", "year": 1999, "tags": ["a"]}
    done = writing.post("/documents", json={"documents": [new, {"_id": "d3", "text": "zebra crossing", "title": "T"}]})
    assert done.json() == {"documents": 201, "added": 1, "replaced": 1, "deleted": 0}
    assert best(writing, "umbrella") == "new"
    index = Index.open(own)
    assert index.document("d3").text == "T zebra crossing"
    hit = index.search("zebra", 5, mode="lexical", filter='tags has "a" and year = 1999')
    assert [one.id for one in hit] == ["new"]
    gone = writing.request("DELETE", "/documents", json={"ids": ["new", "nowhere"]})
    assert gone.json() == {"documents": 200, "added": 0, "replaced": 0, "deleted": 1}
    assert writing.post("/search", json={"query": "umbrella", "mode": "lexical"}).json()["hits"] == []


def test_vectors_are_those_of_the_command_line(writing, own, tmp_path):
    text = "stone river lantern"
    writing.post("/documents", json={"documents": [{"id": "a", "text": text}]})
    (tmp_path / "b.jsonl").write_text('{"_id": "b", "text": "stone river lantern"}\n')
    indexing.add(own, str(tmp_path / "b.jsonl"))
    index = Index.open(own)
    a, b = index.generation.table.vectors(index.generation.table.rows_of(["a", "b"]))
    assert a == pytest.approx(b, abs=1e-6)
    assert writing.get("/similar/a", params={"k": 1}).json()["hits"][0]["id"] == "b"  # the other process's is seen


@pytest.mark.parametrize(("documents", "words"), [
    ([{"id": "a", "text": " "}], "expected text in 'text', found an empty one"),
    ([{"id": "a", "text": "x"}, {"id": "a", "text": "y"}], "documents:2: expected each id once"),
    ([{"id": "a", "text": "x", "year": "late"}], "year"),
    ([{"text": "x"}], "id"),
    ([{"id": 5, "text": "x"}], "id"),
    ([], "documents"),
])  # fmt: skip
def test_a_bad_document_changes_nothing(writing, own, documents, words):
    done = writing.post("/documents", json={"documents": documents})
    assert done.status_code == 422, done.text
    assert words in done.json()["error"]["message"]
    assert len(Index.open(own)) == 200


def test_too_many_and_unasked(writing, client):
    assert writing.post("/documents", json={"documents": [{"id": "a", "text": "x"}] * 51}).status_code == 413
    done = client.post("/documents", json={"documents": [{"id": "a", "text": "x"}]})
    assert done.status_code == 403
    assert "--allow-writes" in done.json()["error"]["message"]


def test_many_at_once_are_all_there(writing, own):
    def add(number):
        documents = [{"id": f"n{number}-{part}", "text": f"word{number} part{part}"} for part in range(5)]
        return writing.post("/documents", json={"documents": documents}).status_code

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(add, range(8))) == {200}
    assert len(Index.open(own)) == 240


def test_an_index_that_is_read_again_keeps_no_other_request(writing, own, monkeypatch):
    real, reading = living._opened, threading.Event()

    def slow(*arguments):
        reading.set()
        time.sleep(1.5)
        return real(*arguments)

    monkeypatch.setattr(living, "_opened", slow)
    indexing.delete(own, ["d7"])
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(best, writing, "stone")
        assert reading.wait(20)
        start = time.perf_counter()
        assert writing.get("/livez").text == "ok"
        assert time.perf_counter() - start < 1
        assert found.result()
    assert writing.get("/similar/d7").status_code == 404
