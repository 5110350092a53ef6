"""The doctor over a run and a log of live queries."""

import json

import pytest

from nearfar.core.errors import BadInput
from nearfar.pipeline.doctor import diagnose
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
    assert figures["divergence"] == pytest.approx(figures["offline_gain"] - figures["live_gain"])


def test_the_queries_of_the_run_count_beside_data_of_another_origin(run):
    found = diagnose(run.path, data=pairs(60, seed=9))
    assert len(found.evidence.training_queries) == 320
    assert set(found.evidence.training_queries) <= {query for query, _ in pairs(400)}


def test_a_bad_line_is_named(run, tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text('{"query": "open", "clicked": "nowhere"}\n')
    with pytest.raises(BadInput, match=r"log\.jsonl:1: .*'nowhere', which is not in the data"):
        diagnose(run.path, live=log)
