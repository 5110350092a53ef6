"""`nearfar doctor model --paraphrases URL`, asked of a server in this process."""

import json
from contextlib import contextmanager

import pytest

import nearfar as package
from chat_server import chat, query_of, serving
from command_line import SMALL, nearfar, write_pairs
from nearfar.core.errors import BadInput

KEY = "sk-secret-0123456789"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paraphrases")
    data = write_pairs(folder / "pairs.jsonl", 1300)
    return package.fit(data, base="static", out=folder / "run", config=SMALL | {"train.batch_size": 64}).path


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@contextmanager
def saying(say, status=200):
    """A language model that answers `say(query)`; None makes an answer that is no JSON."""

    def answer(body):
        content = say(query_of(body))
        return status, "<html>" if content is None else chat(content)[1]

    with serving(answer) as (url, seen):
        yield f"{url}/v1", seen


def doctor(run, *arguments):
    done = nearfar("doctor", "model", run, *arguments, "--json")
    assert KEY not in done.out + done.err
    return done


def shortcut(done):
    assert done.code == 0, done.err
    return json.loads(done.out)["findings"][2]


def test_a_sample_of_the_queries_is_asked_and_the_loss_is_told(run):
    with saying(lambda query: "something else altogether") as (url, asked):
        done = doctor(run, "--paraphrases", url, "--paraphrase-model", "small")
    found = shortcut(done)
    assert found["figures"]["paraphrase_drop"] > 0.8
    assert "in the words of small " in found["summary"]
    assert (len(asked), len({query_of(body) for *_, body in asked})) == (100, 100)
    assert {(body["model"], headers["Authorization"]) for _, headers, body in asked} == {("small", f"Bearer {KEY}")}
    assert f"100 of 100 test queries in other words by small at {url}/chat/completions" in done.err


def test_words_in_another_order_lose_nothing(run):
    with saying(lambda query: " ".join(reversed(query.split()))) as (url, _):
        assert shortcut(doctor(run, "--paraphrases", url))["figures"]["paraphrase_drop"] == pytest.approx(0, abs=0.02)


def test_a_model_that_repeats_the_queries_gives_no_figure(run):
    with saying(lambda query: query) as (url, _):
        done = doctor(run, "--paraphrases", url)
    assert "paraphrase_drop" not in shortcut(done)["figures"]
    assert "0 of 100 test queries in other words by the language model" in done.err
    assert "too few to judge by: needs at least 30" in done.err


@pytest.mark.parametrize(
    ("status", "content", "said"),
    [(401, "no", "found status 401; check the key in OPENAI_API_KEY"), (200, None, "found no JSON; check the address")],
)
def test_what_is_no_answer_is_one_line(run, status, content, said):
    with saying(lambda query: content, status) as (url, asked):
        done = doctor(run, "--paraphrases", url)
    assert (done.code, done.out, len(done.lines), len(asked)) == (2, "", 1, 1)
    assert said in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--paraphrases", "http://127.0.0.1:9/v1"), "found 'Connection refused'; start the server"),
        (("--paraphrases", "here"), "paraphrases: expected an address such as http://localhost:8000/v1, found 'here'"),
        (("--paraphrase-model", "small"), "paraphrase_model: expected the address of its server, found none"),
    ],
)
def test_nobody_to_ask_is_one_line(run, arguments, said):
    done = doctor(run, *arguments)
    assert (done.code, done.out, len(done.lines)) == (2, "", 1)
    assert said in done.err


def test_they_are_asked_of_a_model():
    with pytest.raises(BadInput, match="paraphrases: expected a model to look at with them"):
        package.diagnose(data="pairs.jsonl", paraphrases="http://127.0.0.1:9")
    with pytest.raises(BadInput, match="expected no live, elsewhere, paraphrases, probe or base"):
        package.diagnose("run", index="run", paraphrases="http://127.0.0.1:9")
