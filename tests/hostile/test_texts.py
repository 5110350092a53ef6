"""Hostile texts pass the service, the tools of language models and the terminal as they are, and are only text."""

import asyncio
import io
import json
import re
import shutil
from types import SimpleNamespace
from urllib.parse import quote

import httpx
import pytest
from serving_texts import opened
from texts import NAMES, PAYLOADS, TERMINAL, documents, quoted

from command_line import nearfar
from nearfar.core.unicode import visible
from nearfar.search.index import Index
from nearfar.serve.mcp import server_of
from serving import serving

DOCUMENTS = documents()
ODD = {"a": "\ud800", "b": "x\udfff", "c": "\0"}


@pytest.fixture(scope="module")
def run(texts_run, tmp_path_factory):
    return shutil.copytree(texts_run.parent, tmp_path_factory.mktemp("sent") / "runs") / texts_run.name


@pytest.fixture(scope="module")
def client(run):
    with serving(opened(run)) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def ask(client, **body):
    return client.post("/search", json={"mode": "lexical", "k": 1, **body})


def test_there_are_two_hundred():
    assert len(PAYLOADS) >= 200


def test_each_is_found_as_it_was_written(client):
    for number, one in enumerate(DOCUMENTS):
        hit = ask(client, query=f"q{number}q", explain=True).json()["hits"][0]
        assert (hit["id"], hit["text"]) == (one["id"], one["text"])
        assert hit["metadata"] | {"title": ""} == {
            "author name": one["author name"],
            "tags": one["tags"],
            "year": number,
            "title": "",
        }
        assert f"q{number}q" in hit["explanation"]["matched"]


def test_each_is_a_value_of_a_filter_and_an_id(client):
    for number, one in list(enumerate(DOCUMENTS))[::2]:
        asked = PAYLOADS[number] if len(PAYLOADS[number]) < 9000 else f"zz{number}"  # a filter has at most 10,000
        found = ask(client, query="hostile", k=5, filter=f"`author name` = {quoted(asked)}", why_not=one["id"])
        if asked != PAYLOADS[number]:
            assert found.json()["hits"] == []
            continue
        assert found.status_code == 200, found.text
        assert [hit["id"] for hit in found.json()["hits"]] == [one["id"]]
        assert found.json()["why_not"]["stage"] == "found"
        similar = client.get(f"/similar/{quote(one['id'], safe='')}", params={"k": 3})
        assert similar.status_code == 200, (one["id"], similar.text)
        assert one["id"] not in [hit["id"] for hit in similar.json()["hits"]]


def test_each_is_a_question_a_condition_and_a_path_without_an_error_inside(client):
    for number, text in enumerate((*ODD.values(), *PAYLOADS)):
        body = {"query": text, "filter": text[:9000], "why_not": text[:1000], "task": text}
        for name, value in body.items() if number % 5 == 0 else [("query", text)]:
            given = json.dumps({"query": "x", "mode": "hybrid", name: value})
            done = client.post("/search", content=given, headers={"content-type": "application/json"})
            assert done.status_code in {200, 400, 404, 422}, (name, text, done.text)
            assert done.headers["content-type"] == "application/json"
        if number % 5:
            continue
        done = client.get(f"/{quote(text[:500], errors='ignore')}")
        assert done.status_code in {200, 307, 400, 404, 405}, (text, done.status_code)
        assert done.headers["x-content-type-options"] == "nosniff"


def test_each_is_embedded_and_ranked(client):
    texts = list(PAYLOADS)
    done = client.post("/v1/embeddings", json={"model": "small", "input": texts})
    assert [one["index"] for one in done.json()["data"]] == list(range(len(texts)))
    ranked = client.post("/rerank", json={"query": "x", "texts": texts, "return_text": True}).json()
    assert all(one["text"] == texts[one["index"]] for one in ranked)
    assert sorted(one["index"] for one in ranked) == list(range(len(texts)))


def test_each_is_judged(client):
    for number, text in list(enumerate(PAYLOADS))[::7]:
        marked = client.post("/judgments", json={"query": text, "id": DOCUMENTS[number]["id"], "good": True})
        if marked.status_code == 422:  # what no data set can hold
            assert re.search(r"[\t\r\n\0]", DOCUMENTS[number]["id"]) or not text.strip()
            continue
        assert marked.status_code == 200, marked.text
        assert client.get("/judgments", params={"query": text}).json()["marks"] == {DOCUMENTS[number]["id"]: True}


def test_names_of_fields_are_names(client):
    fields = {name: f"value of {name}" for name in NAMES}
    written = client.post(
        "/documents", json={"documents": [{"id": "names", "text": "zqnames", "author name": json.dumps(fields)}]}
    )
    assert written.status_code == 200, written.text
    assert ask(client, query="zqnames").json()["hits"][0]["metadata"]["author name"] == json.dumps(fields)
    refused = client.post("/documents", json={"documents": [{"id": "n2", "text": "x", **fields}]})
    assert refused.status_code in {200, 422}


def test_what_is_counted_is_not_what_was_asked_for(client):
    text = client.get("/metrics").text
    paths = set(re.findall(r'nearfar_requests_total\{path="([^"]*)"', text))
    assert len(paths) < 40
    assert all(re.fullmatch(r"other|/[\w/{}.:]*", path) for path in paths)


def test_bytes_that_are_no_utf8_are_refused(client):
    for content in (
        b'{"query": "\xff\xfe"}',
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"{" * 50_000,
    ):
        done = client.post("/search", content=content, headers={"content-type": "application/json"})
        assert done.status_code in {400, 422}, (content[:20], done.status_code)


def test_a_language_model_reads_them_as_they_are(run):
    server = server_of(Index.open(run), "lexical")
    for number, one in list(enumerate(DOCUMENTS))[::9]:
        found = asyncio.run(server.call_tool("search", {"query": f"q{number}q"}))
        read = asyncio.run(server.call_tool("fetch", {"id": one["id"]}))
        assert one["id"] in {hit["id"] for hit in content(found)["results"]}
        assert content(read)["text"] == one["text"]


def content(result):
    """What a tool gave, whatever the library wraps it in."""
    given = getattr(result, "structured_content", None) or getattr(result, "structuredContent", None)
    given = given if given is not None else result[1]
    return given.get("result", given)


class Terminal(io.StringIO):
    """A stream that says it is a terminal, so that nothing is stripped on the way to it."""

    def isatty(self):
        return True


def test_a_terminal_obeys_nothing(run, monkeypatch):
    monkeypatch.setattr("command_line.io", SimpleNamespace(StringIO=Terminal))
    for text in TERMINAL:
        number = PAYLOADS.index(text)
        asked = "search", run, f"q{number}q", "--mode", "lexical", "-k", "1"
        if number % 3 == 0:
            said = nearfar(*asked, "--json")
            assert json.loads(said.out)["hits"][0]["text"] == DOCUMENTS[number]["text"]
        elif number % 3 == 1:
            said = nearfar("search", run / text.replace("/", "")[:50], "x")
            assert (said.code, len(said.lines)) == (2, 1)
        else:
            said = nearfar(*asked, "--explain", "--filter", f"year = {number}")
            assert visible(PAYLOADS[number].splitlines()[0]) in said.out
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", said.out + said.err), text
