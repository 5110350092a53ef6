"""The doctor over a run and a log of live queries."""

import json
import shutil

import pytest

from nearfar.core.errors import BadInput
from nearfar.pipeline.doctor import diagnose
from nearfar.pipeline.evaluate import evaluate
from nearfar.pipeline.fit import fit
from nearfar.pipeline.progress import Silent
from tiny_models import pairs


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    settings = {"static.dimension": 32, "static.vocabulary": 300, "train.epochs": 3, "train.batch_size": 64}
    return fit(pairs(400), base="static", out=tmp_path_factory.mktemp("live") / "run", config=settings,
               reporter=Silent())  # fmt: skip


def overfit(diagnosis):
    return next(finding for finding in diagnosis.findings if finding.failure == "overfit")


def gain(model, data):
    """nDCG@10 of the model less that of BM25, as `evaluate` measures them."""
    return evaluate(model, data).metrics["ndcg@10"] - evaluate("bm25", data).metrics["ndcg@10"]


def asked(run, queries, clicked, folder):
    """The documents of the run with these test queries, each answered by the document clicked."""
    shutil.copytree(run / "data" / "beir", folder)
    ids = {row["text"]: row["_id"] for row in map(json.loads, (folder / "corpus.jsonl").read_text().splitlines())}
    (folder / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": f"l{row}", "text": query}) + "\n" for row, query in enumerate(queries))
    )
    shutil.rmtree(folder / "qrels")
    (folder / "qrels").mkdir()
    rows = "".join(f"l{row}\t{ids[document]}\t1\n" for row, document in enumerate(clicked))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + rows)
    return folder


def test_live_queries_are_asked_of_the_model_and_of_word_search(run, tmp_path):
    log = tmp_path / "log.jsonl"
    texts = dict(pairs(400))
    documents = [*texts.values()]
    others = documents[7:] + documents[:7]  # clicks that have nothing to do with the queries
    log.write_text("".join(json.dumps({"query": query, "clicked": document}) + "\n"
                           for query, document in zip(texts, others, strict=True)))  # fmt: skip
    found = diagnose(run.path, live=log)
    figures = overfit(found).figures
    assert found.evidence.base is None
    assert len(found.evidence.live) == 400
    assert abs(figures["live_gain"]) < 0.1  # neither of the two finds them
    offline, live = (
        gain(run.path, data) for data in (run.path / "data" / "beir", asked(run.path, texts, others, tmp_path / "beir"))
    )
    assert figures["offline_gain"] == pytest.approx(offline, abs=1e-6)
    assert figures["live_gain"] == pytest.approx(live, abs=1e-6)
    assert figures["divergence"] == pytest.approx(offline - live, abs=1e-6)


def test_the_queries_of_the_run_count_beside_data_of_another_origin(run):
    found = diagnose(run.path, data=pairs(60, seed=9))
    assert len(found.evidence.training_queries) == 320
    assert set(found.evidence.training_queries) <= {query for query, _ in pairs(400)}


def test_a_bad_line_is_named(run, tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text('{"query": "open", "clicked": "nowhere"}\n')
    with pytest.raises(BadInput, match=r"log\.jsonl:1: .*'nowhere', which is not in the data"):
        diagnose(run.path, live=log)
