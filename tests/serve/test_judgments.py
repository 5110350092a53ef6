"""Marks on results: kept whole, and read by the verbs that measure and train."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

from command_line import nearfar, options
from nearfar.core.errors import BadInput
from nearfar.encoder.precision import Policy
from nearfar.serve.app import app_of
from nearfar.serve.config import ServeConfig
from nearfar.serve.judgments import Judgments
from nearfar.serve.runs import detail
from nearfar.serve.service import Service


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "judged"


@pytest.fixture
def judged(place, folder):
    service = Service.open(place, ServeConfig(), policy=Policy())
    service.judgments = Judgments.open(folder)
    with TestClient(app_of(service), base_url="http://localhost") as client:
        yield client


def mark(client, query, id_, good):
    return client.post("/judgments", json={"query": query, "id": id_, "good": good})


def qrels(folder):
    return (folder / "qrels" / "train.tsv").read_text().splitlines()


def test_what_people_mark_is_measured_and_learnt_from(judged, place, folder, tmp_path):
    from nearfar.search.index import Index

    index, ranks = Index.open(place), []
    for number in range(15):
        query = f"{index.document(f'd{number}').text.split(' number')[0]} again"
        hits = judged.post("/search", json={"query": query, "k": 10}).json()["hits"]
        good, bad = hits[number % 3]["id"], hits[5]["id"]
        ranks.append(number % 3 + 1)
        assert mark(judged, query, good, True).json() == {"judgments": 2 * number + 1}
        assert mark(judged, query, bad, False).status_code == 200
        assert judged.get("/judgments", params={"query": query}).json() == {"marks": {good: True, bad: False}}
    assert mark(judged, "nothing answers this", "d3", False).status_code == 200
    assert len((folder / "corpus.jsonl").read_text().splitlines()) == len(index)

    measured = nearfar("eval", place / "index", "--data", folder, "--split", "train", "--json")
    by_hand = sum(1 / rank for rank in ranks) / len(ranks)
    assert json.loads(measured.out)["metrics"]["mrr@10"] == pytest.approx(by_hand)
    fitted = nearfar("fit", "--data", folder, "--base", "static", "--out", tmp_path / "run", "--json",
                     *options(train__epochs=1))  # fmt: skip
    shown = detail(tmp_path / "run")
    assert shown.state == "finished"
    assert shown.metrics == json.loads(fitted.out)["metrics"]
    assert shown.pages == ["report.html"]
    assert len(shown.curves["train/loss"]) == json.loads((tmp_path / "run" / "run.json").read_text())["steps"]


def test_the_last_mark_of_a_pair_counts(judged, folder):
    for good in (True, False, True, True):
        assert mark(judged, "which?", "d1", good).json() == {"judgments": 1}
    assert [line.split("\t")[1:] for line in qrels(folder)] == [["corpus-id", "score"], ["d1", "1"]]
    assert mark(judged, "which?", "d1", None).json() == {"judgments": 0}
    assert mark(judged, "which?", "d1", None).json() == {"judgments": 0}
    assert judged.get("/judgments", params={"query": "which?"}).json() == {"marks": {}}


def test_marks_at_once_are_all_kept(judged, folder):
    def one(number):
        return mark(judged, f"query {number % 7}", f"d{number}", number % 2 == 0).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(40))) == {200}
    assert sorted(line.split("\t")[1] for line in qrels(folder)[1:]) == sorted(f"d{n}" for n in range(40))
    assert len(Judgments.open(folder).queries()) == 7
    assert not list(folder.rglob("*.writing-*"))


def test_a_document_that_came_later_is_added(judged, folder):
    assert mark(judged, "a", "d1", True).status_code == 200
    corpus = folder / "corpus.jsonl"
    lines = corpus.read_text().splitlines(keepends=True)
    corpus.unlink()  # a new file, as another process would write it
    corpus.write_text("".join(line for line in lines if '"d9"' not in line))
    assert mark(judged, "a", "d9", True).status_code == 200
    assert sorted(corpus.read_text().splitlines(keepends=True)) == sorted(lines)


@pytest.mark.parametrize(("body", "status", "words"), [
    ({"query": "a", "id": "nowhere", "good": True}, 404, "'nowhere'"),
    ({"query": "  ", "id": "d1", "good": True}, 422, "a text without words"),
    ({"query": "a\0b", "id": "d1", "good": True}, 422, "with a NUL"),
    ({"query": "a", "id": "d1", "good": "yes"}, 422, "good"),
    ({"query": "a", "id": "d1"}, 422, "good"),
    ({"query": "a" * 10_001, "id": "d1", "good": True}, 422, "query"),
    ({"query": "\ud800", "id": "d1", "good": True}, 422, ""),
])  # fmt: skip
def test_what_is_no_mark_is_refused(judged, folder, body, status, words):
    done = judged.post("/judgments", content=json.dumps(body), headers={"content-type": "application/json"})
    assert done.status_code == status
    assert words in done.json()["error"]["message"]
    assert not (folder / "qrels" / "train.tsv").exists()


def test_a_form_of_another_page_marks_nothing(judged, folder):
    body = json.dumps({"query": "a", "id": "d1", "good": True})
    assert judged.post("/judgments", content=body, headers={"content-type": "text/plain"}).status_code == 422
    assert not (folder / "qrels" / "train.tsv").exists()


def test_marks_are_off_unless_there_is_a_folder(client):
    assert mark(client, "a", "d1", True).status_code == 403
    assert client.get("/judgments", params={"query": "a"}).status_code == 403
    assert client.get("/about").json()["judgments"] is False


def test_another_data_set_is_not_written_to(folder):
    (folder / "qrels").mkdir(parents=True)
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "a"}\n')
    with pytest.raises(BadInput, match="found another data set"):
        Judgments.open(folder)
    (folder / "queries.jsonl").unlink()
    (folder / "qrels" / "test.tsv").touch()
    with pytest.raises(BadInput, match="found another data set"):
        Judgments.open(folder)
