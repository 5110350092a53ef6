"""The training pairs that an explanation names, against loops over all of them."""

import json

import numpy as np
import pytest

from command_line import nearfar
from nearfar.encoder.encode import encode
from nearfar.encoder.load import load_encoder
from nearfar.encoder.precision import Policy
from nearfar.encoder.save import save_encoder
from nearfar.pipeline import indexing
from nearfar.pipeline.progress import Silent
from nearfar.pipeline.training_pairs import TrainingPairs
from nearfar.search.index import Index
from tiny_models import pairs, tiny_static

PAIRS = pairs(40)
TRAINED = 30  # of them, and every document is in the index
QUESTIONS = ["parse json list", PAIRS[3][0], PAIRS[35][0]]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs") / "run"
    save_encoder(tiny_static(), folder / "model", card="")
    beir = folder / "data" / "beir"
    (beir / "qrels").mkdir(parents=True)
    queries = [{"_id": f"q{n}", "text": query} for n, (query, _) in enumerate(PAIRS)]
    documents = [{"_id": f"d{n}", "text": document} for n, (_, document) in enumerate(PAIRS)]
    for name, lines in (("corpus", documents), ("queries", queries)):
        (beir / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    head = "query-id\tcorpus-id\tscore\n"
    also = "q1\td0\t1\nq2\td9\t0\n"  # two queries of one document, and a judged negative
    rows = "".join(f"q{n}\td{n}\t1\n" for n in range(TRAINED))
    (beir / "qrels" / "train.tsv").write_text(head + rows + also)
    (beir / "qrels" / "test.tsv").write_text(head + "q35\td35\t1\n")
    indexing.build(str(beir), folder / "model", folder / "index")
    return folder


def by_hand(question):
    """Similarity of the question to each training query, and the pairs of each."""
    vectors = encode(tiny_static(), [question, *(query for query, _ in PAIRS[:TRAINED])], "query", Policy())
    trained = [(n, n) for n in range(TRAINED)] + [(1, 0)]
    return {pair: float(vectors[0] @ vectors[1 + pair[0]]) for pair in trained}


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_explanation_names_the_nearest_pairs(run, question):
    index = Index.open(run)
    found = TrainingPairs.of_run(run, index.encoder, Silent())
    nearest, hits = found.explained(question, index.search(question, 40, explain=True))
    similar = by_hand(question)
    query, document = max(similar, key=similar.get)
    assert nearest.query == PAIRS[query][0]
    assert nearest.id in {f"d{one}" for pair, one in similar if pair == query}
    assert nearest.similarity == pytest.approx(similar[query, document], abs=1e-5)
    for hit in hits:
        own = {pair: value for pair, value in similar.items() if f"d{pair[1]}" == hit.id}
        assert (hit.explanation.trained_on is None) == (not own)
        if own:
            best = max(own, key=own.get)
            assert hit.explanation.trained_on.query == PAIRS[best[0]][0]
            assert hit.explanation.trained_on.similarity == pytest.approx(own[best], abs=1e-5)


def test_the_vectors_are_computed_once(run, monkeypatch):
    encoder = load_encoder(run / "model")
    first = TrainingPairs.of_run(run, encoder, Silent())
    monkeypatch.setattr("nearfar.pipeline.teachers.encode", lambda *_, **__: pytest.fail("computed again"))
    np.testing.assert_array_equal(TrainingPairs.of_run(run, encoder, Silent()).vectors, first.vectors)


def test_the_command_line_shows_them(run, tmp_path):
    done = nearfar("search", run, QUESTIONS[1], "-k", "2", "--explain")
    assert f"trained on: {PAIRS[3][0]} (1.000 to the question)" in done.out
    assert f"nearest training query, 1.000: {PAIRS[3][0]}, answered by d3: {PAIRS[3][1]}" in done.out
    found = json.loads(nearfar("search", run, QUESTIONS[1], "--explain", "--json").out)
    assert found["nearest_training_pair"]["id"] == "d3"
    assert found["hits"][0]["explanation"]["trained_on"]["query"] == PAIRS[3][0]
    indexing.build(str(run / "data" / "beir"), run / "model", tmp_path / "index")
    alone = nearfar("search", tmp_path / "index", QUESTIONS[1], "--explain", "--json", "--model", run / "model")
    assert "nearest_training_pair" not in json.loads(alone.out)
    assert TrainingPairs.of_run(tmp_path, load_encoder(run / "model"), Silent()) is None
