"""What the page shows of findings, codes and pairs of runs, against the functions that made them."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from nearfar.core.errors import BadInput
from nearfar.diagnose.finding import Finding, Fix, Threshold, unknown
from nearfar.evaluate.statistics import compare, detectable
from nearfar.report import kept
from nearfar.report.kept import SCORES
from nearfar.serve.comparing import compared
from nearfar.serve.kept import findings_in, frontier_in

RULES = (Threshold("spread", 0.78, 0.5, "a table"), Threshold("cosine", 0.3, 0.5, "a table"))
FOUND = (
    Finding("collapse", "fail", "spread 0.2", {"other": float("nan"), "spread": 0.2, "cosine": 0.4}, RULES,
            ({"document": "a" * 700, "cosine": 0.9},), Fix({"train": {"temperature": 0.05}}, "train again")),
    unknown("drift", "an index"),
)  # fmt: skip
FULL = {"bytes": 128, "ndcg@10": 0.5}


def codes(size, share):
    return {"codec": "pq", "bytes": size, "retained_ndcg@10": share, "interval": [share - 0.1, share + 0.1],
            "documents": 300, "queries": 40, "index_bytes": 300 * size, "codec_bytes": 1000, "fit_seconds": 1.5,
            "full": FULL}  # fmt: skip


def plan(*points):
    listed = [{**codes(*point), "index_bytes": 1000 * point[0], "ms_per_query": 0.5, "frontier": True,
               "recommended": not number} for number, point in enumerate(points)]  # fmt: skip
    return {"points": listed, "recommendation": "take 8", "run": "run", "planned_for": 1000, "budget": 16,
            "documents": 300, "chosen_on": 20, "queries": 40, "full": FULL}  # fmt: skip


def test_findings_come_back_as_they_were(tmp_path):
    kept.keep(tmp_path / kept.FINDINGS, {"findings": [asdict(one) for one in FOUND]})
    json.loads((tmp_path / kept.FINDINGS).read_text(), parse_constant=pytest.fail)  # JSON has no word for NaN
    assert repr(kept.findings(tmp_path)) == repr(FOUND)
    collapse, drift = findings_in(tmp_path)
    assert [(one.name, one.value, one.verdict, one.side) for one in collapse.figures] == [
        ("spread", 0.2, "fail", "≤"), ("cosine", 0.4, "watch", "≥"), ("other", None, None, None)]  # fmt: skip
    assert collapse.patch == "train:\n  temperature: 0.05"
    assert [len(text) for _, text in collapse.examples[0].texts] == [602]
    assert (drift.verdict, drift.patch, drift.examples) == ("unknown", "", [])


def test_the_frontier_is_the_plan_with_the_codes_that_were_made(tmp_path):
    assert frontier_in(tmp_path) is None
    for size, share in ((8, 0.6), (32, 0.9)):
        (tmp_path / kept.CODES / str(size)).mkdir(parents=True)
        kept.keep(tmp_path / kept.CODES / str(size) / kept.MEASURED, codes(size, share))
    alone = frontier_in(tmp_path)
    assert (alone.budget, alone.documents, [row.size for row in alone.rows]) == (None, 300, ["2.4 kB", "9.6 kB"])
    kept.keep(tmp_path / kept.PLAN, plan((8, 0.7), (16, 0.8)))
    rows = [(row.bytes, row.kept, row.size, row.made, row.recommended) for row in frontier_in(tmp_path).rows]
    assert rows == [(8, 0.6, "8 kB", True, True), (16, 0.8, "16 kB", False, False), (32, 0.9, "32 kB", True, False)]


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"findings": [{"failure": 1}], "points": 3, "named": []}', "\x00"]
)
def test_what_cannot_be_read_is_told_in_one_line_and_left_out_of_the_page(tmp_path, content):
    for name in (kept.FINDINGS, kept.PLAN):
        (tmp_path / name).write_text(content)
    for read in (kept.findings, kept.named, kept.frontier):
        with pytest.raises(BadInput, match=r"make it again: nearfar (doctor model|plan) RUN"):
            read(tmp_path)
    assert (findings_in(tmp_path), frontier_in(tmp_path)) == ([], None)


@pytest.fixture
def runs(tmp_path):
    """Two runs on the same 60 queries, and one on others."""
    rng = np.random.default_rng(0)
    words, first, queries = rng.random(60), rng.random(60), np.arange(60)

    def run(name, **arrays):
        (tmp_path / name / SCORES).parent.mkdir(parents=True)
        np.savez(tmp_path / name / SCORES, **arrays)
        return tmp_path / name

    models = {"a": first + 0.2, "b": first + 0.02 * rng.normal(size=60), "other": first}
    bm25 = {"a": words, "b": words, "other": words[::-1]}
    scores = {name: {"model/recall@10": model.round(), "model/ndcg@10": model, "bm25/ndcg@10": bm25[name]}
              for name, model in models.items()}  # fmt: skip
    return {name: run(name, queries=queries, **arrays) for name, arrays in scores.items()}


def test_two_runs_are_compared_as_the_verb_compares_them(runs):
    found = compared(runs["a"], runs["b"])
    scores = [np.load(runs[name] / SCORES) for name in "ab"]
    assert [one.metric for one in found.metrics] == ["ndcg@10", "recall@10"]
    for one in found.metrics:
        expected = compare(*(part[f"model/{one.metric}"] for part in scores), seed=0)
        assert one.model_dump(exclude={"metric"}) == asdict(expected)
    assert (found.verdict, found.queries) == ("better", 60)
    assert found.detectable == detectable(scores[0]["model/ndcg@10"] - scores[1]["model/ndcg@10"])
    assert compared(runs["b"], runs["a"]).verdict == "worse"
    assert compared(runs["a"], runs["a"]).verdict == "cannot tell"


def test_runs_on_other_queries_or_without_scores_are_refused(runs):
    with pytest.raises(BadInput, match="a: expected the test set of 'other', found another; compare them on one"):
        compared(runs["a"], runs["other"])
    (runs["b"] / SCORES).write_bytes(b"PK\x03\x04")
    with pytest.raises(BadInput, match=r"b: expected data/per_query\.npz"):
        compared(runs["a"], runs["b"])
