"""Other words from a language model: a server in this process in the place of one."""

import json
import time

import pytest

from chat_server import chat, query_of, serving
from nearfar.core.errors import BadInput
from nearfar.data.llm import PROMPT, Rewriter

KEY = "sk-secret-0123456789"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_a_query_is_asked_as_a_chat_and_answered_in_other_words():
    with serving(lambda body: chat(f' "so: {query_of(body)}"\n')) as (url, seen):
        rewriter = Rewriter.of(f"{url}/v1/", "small", KEY)
        assert rewriter.reword("how do I open it?") == "so: how do I open it?"
    [(path, headers, body)] = seen
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert body["model"] == "small"
    assert [entry["content"] for entry in body["messages"]] == [PROMPT, "how do I open it?"]


def test_neither_key_nor_model_is_sent_where_none_is_given():
    with serving(lambda body: chat("other")) as (url, seen):
        assert Rewriter.of(f"{url}/chat/completions?version=1").reword("query") == "other"
    [(path, headers, body)] = seen
    assert path == "/chat/completions?version=1"
    assert "Authorization" not in headers
    assert "model" not in body


@pytest.mark.parametrize("answer", ["", "  \n", None, "Open  IT", '"open it"', "<think>how else?</think>\nopen it"])
def test_an_answer_that_is_empty_or_the_query_counts_as_none(answer):
    with serving(lambda body: chat(answer)) as (url, _):
        assert Rewriter.of(url).reword("open it") is None


def test_all_are_answered_in_their_order():
    def late_if_even(body):
        number = int(query_of(body).split()[1])
        time.sleep(0.02 * (number % 2 == 0))
        return chat("" if number == 5 else f"answer {number}")

    queries = [f"query {number}" for number in range(12)]
    with serving(late_if_even) as (url, seen):
        found = list(Rewriter.of(url).reword_all(queries))
    assert found == [(query, None if query == "query 5" else query.replace("query", "answer")) for query in queries]
    assert sorted(query_of(body) for _, _, body in seen) == sorted(queries)
    assert query_of(seen[0][2]) == "query 0"


def test_an_error_ends_it_without_asking_all():
    def second_fails(body):
        return chat("fine") if query_of(body) == "q0" else (500, "{}")

    with serving(second_fails) as (url, seen), pytest.raises(BadInput, match="status 500"):
        list(Rewriter.of(url).reword_all([f"q{number}" for number in range(100)]))
    assert len(seen) < 30


REFUSALS = {
    "refused key": (401, json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}}),
                    "found status 401; check the key in OPENAI_API_KEY"),
    "model": (404, json.dumps({"error": {"message": f"no model for {KEY}"}}),
              "status 404: 'no model for …'; check the address, and name a model with --paraphrase-model"),
    "plain error": (400, json.dumps({"error": "model is required"}), "status 400: 'model is required'"),
    "busy": (429, "slow down", "found status 429; check"),
    "moved": (302, "", "found status 302"),
    "no JSON": (200, "<html>", "found no JSON; check the address"),
    "other JSON": (200, '{"object": "list"}', "found JSON without choices[0].message.content"),
    "a list": (200, "[]", "found JSON without choices[0].message.content"),
    "no text": (200, '{"choices": [{"message": {"content": [1]}}]}', "found an answer that is no text"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_what_is_no_answer_is_one_line_without_the_key(case):
    status, text, said = REFUSALS[case]
    with serving(lambda body: (status, text, ("Location", "http://127.0.0.1:1/"))) as (url, seen):
        with pytest.raises(BadInput) as caught:
            Rewriter.of(f"{url}/v1?secret=1", key=KEY).reword("query")
        assert str(caught.value).startswith(
            f"{url}/v1/chat/completions: expected an answer of a language model, found "
        )
    assert said in str(caught.value)
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(seen) == 1


def test_nobody_there_and_nobody_answering():
    with serving(lambda body: chat("other")) as (url, _):
        pass  # and gone
    with pytest.raises(BadInput, match="found 'Connection refused'; start the server"):
        Rewriter.of(url).reword("query")

    def slow(body):
        time.sleep(0.5)
        return chat("other")

    with serving(slow) as (url, _), pytest.raises(BadInput, match="timed out"):
        Rewriter.of(url, timeout_s=0.1).reword("query")


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://host/v1", "http://", "http://host:x/", "http://[::1/v1"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(BadInput, match="paraphrases: expected an address such as http://localhost:8000/v1"):
        Rewriter.of(url)


def test_secrets_are_never_shown():
    with pytest.raises(BadInput) as caught:
        Rewriter.of(f"http://me:{KEY}@host/v1")
    assert KEY not in str(caught.value)
    with pytest.raises(BadInput, match="OPENAI_API_KEY: expected a key of plain letters") as caught:
        Rewriter.of("http://host/v1", key=f"{KEY}\nX-Other: 1")
    assert KEY not in str(caught.value)
    assert KEY not in repr(Rewriter.of("http://host/v1", key=f" {KEY}\n"))
