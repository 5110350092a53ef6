"""`nearfar doctor` and `nearfar compare` as a user calls them."""

import json
import os
import re
import shutil
from unittest import mock

import numpy as np
import pytest

import nearfar as package
from command_line import SMALL, assert_refused, nearfar, tree, write_pairs
from nearfar.evaluate.statistics import interval
from nearfar.report import kept

FAILURES = ["collapse", "false_negatives", "shortcut", "overfit", "drift"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("data") / "pairs.jsonl")


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return package.fit(data, base="static", out=tmp_path_factory.mktemp("runs") / "run", config=SMALL).path


def test_all_five_verdicts_and_a_page(run):
    done = nearfar("doctor", "model", run)
    assert done.code == 0, done.err
    told = [tuple(line.split()[:2]) for line in done.out.splitlines()[1:6]]
    assert [failure for failure, _ in told] == FAILURES
    page = (run / "doctor.html").read_text(encoding="utf-8")
    shown = re.findall(r'<a href="#(\w+)">([^<]+)</a></th>\s*<td><span class="badge (\w+)">', page)
    assert shown == [(failure, failure.replace("_", " "), verdict) for failure, verdict in told]
    assert [failure for failure in FAILURES if f'<section id="{failure}">' not in page] == []
    [sentence] = re.findall(r'<p class="verdict">([^<]+)</p>', page)
    assert (sentence == "none of the failures was found") == ({verdict for _, verdict in told} == {"ok"})


def test_a_run_keeps_its_findings(run, data, tmp_path):
    (run / kept.FINDINGS).unlink(missing_ok=True)
    done = nearfar("doctor", "model", run, "--json", "--html", tmp_path / "page.html")
    record = json.loads((run / kept.FINDINGS).read_text(), parse_constant=pytest.fail)
    told = json.loads(done.out)
    assert record["findings"] == told["findings"]
    assert [finding.failure for finding in kept.findings(run)] == FAILURES
    before = kept.findings(run)
    nearfar("doctor", "model", run, "--data", data)  # whose ids may be other documents' in the index
    assert "named" in record
    assert "named" not in json.loads((run / kept.FINDINGS).read_text())
    assert [finding.failure for finding in before] == [finding.failure for finding in kept.findings(run)]


def test_a_report_is_one_file_with_all_of_a_run(run, tmp_path):
    nearfar("doctor", "model", run)
    out = tmp_path / "whole.html"
    done = nearfar("report", run, "--out", out, "--json")
    assert (done.code, json.loads(done.out)) == (0, {"path": str(out)}), done.err
    page = out.read_text(encoding="utf-8")
    panels = json.loads(re.search(r'<script type="application/json" id="figures">(.*?)</script>', page)[1])
    assert {"metrics-0", "queries-0", "training-0", "map-0", "drift-recall-0"} <= set(panels)
    scores = np.load(run / "data" / "per_query.npz")
    low, high = interval(scores["model/ndcg@10"], seed=0, resamples=999)
    assert f"{scores['model/ndcg@10'].mean():.3f}<small>{low:.3f}–{high:.3f}</small>" in page
    drawn = [row for rows in panels["map-0"]["datasets"].values() for row in rows]
    assert {row["kind"] for row in drawn} == {"document", "query"}
    answered = [row["label"] == "query answered" for row in drawn if row["kind"] == "query"]
    assert sum(answered) == (scores["model/ndcg@10"] > 0).sum()
    assert [failure for failure in FAILURES if f'<section id="{failure}">' not in page] == []


def test_a_report_of_what_is_no_run_or_is_damaged_is_refused(run, tmp_path):
    damaged = shutil.copytree(run, tmp_path / "damaged")
    (damaged / kept.FINDINGS).write_text("{")
    assert_refused(
        nearfar("report", damaged, "--out", tmp_path / "a.html"), ["doctor.json", "nearfar doctor model RUN"]
    )
    (damaged / kept.FINDINGS).unlink()
    (damaged / "run.json").write_text("{}")
    assert_refused(nearfar("report", damaged, "--out", tmp_path / "a.html"), ["run.json: expected the record of a"])
    assert_refused(nearfar("report", tmp_path), ["expected a run folder, found no run.json"])
    assert_refused(nearfar("report", run, "--out", tmp_path / "no" / "a.html"), ["expected a place to write to"])


def test_the_page_holds_its_figures_and_their_data(run, data):
    nearfar("doctor", "model", run)
    page = (run / "doctor.html").read_text(encoding="utf-8")
    panels = json.loads(re.search(r'<script type="application/json" id="figures">(.*?)</script>', page)[1])
    assert {"map-0", "spectrum-0", "similarities-0", "drift-recall-0"} <= set(panels)
    assert sorted(panels) == sorted(re.findall(r'<div class="panel" id="([^"]+)">', page))
    assert all(rows for spec in panels.values() for rows in spec["datasets"].values())
    drawn = [row for rows in panels["map-0"]["datasets"].values() for row in rows]
    documents = {json.loads(line)["positive"] for line in data.read_text().splitlines()}
    assert {row["text"] for row in drawn if row["kind"] == "document"} == documents


def test_json_is_the_findings_alone(run, data):
    found = json.loads(nearfar("doctor", "model", run, "--data", data, "--json").out)["findings"]
    assert [finding["failure"] for finding in found] == FAILURES
    for finding in found:
        assert_whole(finding)
        assert finding["verdict"] == worst(finding)
        assert (finding["examples"], finding["fix"]) == ([], {"patch": {}, "advice": ""})  # as the run is healthy


def test_json_of_a_failure_has_examples_and_a_fix(tmp_path):
    alike = tmp_path / "alike.jsonl"
    rows = [{"query": f"how do I open door q{row}?", "positive": f"text d{row} of it"} for row in range(120)]
    alike.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = json.loads(nearfar("doctor", "data", alike, "--json").out)["findings"]
    for finding in found:
        assert_whole(finding)
        assert finding["verdict"] in {"unknown", worst(finding)}
    overfit = found[FAILURES.index("overfit")]
    assert (overfit["verdict"], overfit["figures"]["template_share"]) == ("fail", 1)
    [form] = [example for example in overfit["examples"] if "template" in example]
    assert form["first"] in {row["query"] for row in rows}
    assert package.FitConfig.parse(overfit["fix"]["patch"], "fix") != package.FitConfig()
    assert "nearfar doctor model RUN --live" in overfit["fix"]["advice"]


def test_token_tables_alone_and_those_without_teachers_are_told_to_learn_from_one(run, tmp_path):
    rows = [{"query": f"how do I open door q{row}?", "positive": f"text d{row} of it"} for row in range(120)]
    for base, named in ((None, False), ("static", True), (run / "model", True)):
        found = package.diagnose(data=rows, base=base)
        assert ("teachers" in found.findings[FAILURES.index("overfit")].fix.patch) is named
    for teachers, named in (([], True), ([str(run)], False)):
        config = {**SMALL, "train.epochs": 1, "teachers.models": teachers}
        trained = package.fit(rows, base="static", out=tmp_path / f"run {named}", config=config)
        found = package.diagnose(trained.path)
        assert ("teachers" in found.findings[FAILURES.index("overfit")].fix.patch) is named


def assert_whole(finding):
    """Every part is there and of its kind, and the fix is of settings that exist."""
    assert set(finding) == {"failure", "verdict", "summary", "figures", "thresholds", "examples", "fix"}
    assert finding["summary"].strip()
    assert "\n" not in finding["summary"]
    assert all(isinstance(value, float) for value in finding["figures"].values())
    assert all(example and isinstance(example, dict) for example in finding["examples"])
    package.FitConfig.parse(finding["fix"]["patch"], finding["failure"])


def worst(finding):
    """The verdict that figures and thresholds stand for."""
    figures, reached = finding["figures"], {"ok"}
    for rule in (rule for rule in finding["thresholds"] if rule["figure"] in figures):
        sign = 1 if rule["fail"] >= rule["watch"] else -1
        reached |= {name for name in ("watch", "fail") if sign * figures[rule["figure"]] >= sign * rule[name]}
    return next(name for name in ("fail", "watch", "ok") if name in reached)


def test_python_gives_the_same(run):
    assert [finding.failure for finding in package.diagnose(run).findings] == FAILURES


def test_data_without_a_model(data):
    done = nearfar("doctor", "data", data, "--json")
    assert done.code == 0, done.err
    verdicts = {finding["failure"]: finding["verdict"] for finding in json.loads(done.out)["findings"]}
    assert verdicts["collapse"] == verdicts["drift"] == "unknown"


def test_strict_is_an_exit_code(run, tmp_path):
    other = package.fit(write_pairs(tmp_path / "pairs.jsonl"), base="static", out=tmp_path / "other",
                        config=SMALL | {"train.seed": 5}).path  # fmt: skip
    assert nearfar("doctor", "index", run, "--model", run, "--strict").code == 0
    assert nearfar("doctor", "index", run, "--model", other, "--strict").code == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("doctor", "model", "minilm"), "minilm: expected a run, or a data set"),
        (("doctor", "model", "nowhere"), "nowhere: expected a run"),
        (("doctor", "data", "nowhere.jsonl"), "nowhere.jsonl"),
        (("compare", "bm25", "--data", "pairs.jsonl"), "expected two or more"),
        (("compare", "bm25", "bm25", "--data", "pairs.jsonl"), "expected two or more"),
    ],
)
def test_bad_input_is_one_line(arguments, said):
    done = nearfar(*arguments)
    assert (done.code, len(done.lines)) == (2, 1)
    assert said in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("model", "run", "--livee", "log.jsonl"), "--livee: expected an option of this verb or a field of the data"),
        (("model", "run", "--livee", "log.jsonl"), "found neither; did you mean '--live'?"),
        (("model", "run", "--strct"), "did you mean '--strict'?"),
        (("model", "run", "--agianst=minilm"), "did you mean '--against'?"),
        (("data", "pairs.jsonl", "--prob", "--json"), "did you mean '--probe'?"),
        (("data", "pairs.jsonl", "--licens", "MIT"), "did you mean '--licence'?"),
        (("index", "run", "--model", "run", "--dta=x"), "did you mean '--data'?"),
        (("model", "run", "--columns.qury", "q"), "'query'"),
    ],
)  # fmt: skip
def test_an_unknown_option_names_the_nearest_of_the_verb_and_of_the_data(arguments, said):
    done = nearfar("doctor", *arguments)
    assert (done.code, len(done.lines)) == (2, 1)
    assert said in done.err


@pytest.mark.parametrize("arguments", [(), ("--data", "pairs.jsonl")])
def test_a_misspelt_folder_is_told_with_the_one_beside_it(run, data, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").symlink_to(run)
    (tmp_path / "runs").mkdir()  # nearer, and no model
    shutil.copy(data, tmp_path / "pairs.jsonl")
    done = nearfar("doctor", "model", "rnu", *arguments)
    assert (done.code, len(done.lines)) == (2, 1)
    assert done.err.startswith("nearfar: rnu: expected a ")
    assert done.err.endswith("; did you mean the folder 'run'?\n")


def test_a_name_that_is_nowhere_is_told_so(data):
    done = nearfar("doctor", "model", "nowhere", "--data", data)
    assert (done.code, len(done.lines)) == (2, 1)
    assert "found neither a folder here nor an earlier download, and the hub is out of reach; check" in done.err


def test_first_words_in_the_place_of_judged_queries_are_told(run, tmp_path):
    done = nearfar("doctor", "index", run, "--model", run, "--json")
    assert [finding["failure"] for finding in json.loads(done.out)["findings"]] == FAILURES
    [line] = done.lines  # as the run has but 12 test queries
    assert line.startswith("queries: the first words of 120 documents")
    assert "are 12, fewer than 50" in line


def test_data_of_a_run_that_cannot_be_read_are_told(run, tmp_path):
    moved = shutil.copytree(run, tmp_path / "moved")
    record = json.loads((moved / "run.json").read_text())
    record["config"]["data"]["source"] = str(tmp_path / "gone.jsonl")
    (moved / "run.json").write_text(json.dumps(record))
    done = nearfar("doctor", "index", moved, "--model", moved)
    assert done.code == 0, done.err
    first, second = done.lines
    assert first.startswith("data: those of the run cannot be read: ")
    assert "gone.jsonl: expected a file or folder, found none" in first
    assert "are 0, fewer than 50" in second


@pytest.mark.parametrize("verb", [("data", "pairs.jsonl"), ("model", "run"), ("index", "run", "--model", "run")])
@pytest.mark.parametrize(
    ("place", "found"),
    [("missing/page.html", "No such file or directory"), ("file/page.html", "Not a directory"), (".", "Is a directory"),
     ("folder", "Is a directory"), ("closed/page.html", "Permission denied")],
)  # fmt: skip
def test_a_page_that_cannot_be_written_is_told_before_the_work(verb, place, found, tmp_path, monkeypatch):
    if place.startswith("closed") and os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "closed").mkdir(mode=0o500)
    before = tree(tmp_path)
    with mock.patch("nearfar.pipeline.doctor.diagnose", side_effect=AssertionError("the work has begun")):
        done = nearfar("doctor", *verb, "--html", place)
    assert (done.code, done.out, len(done.lines)) == (2, "", 1)
    assert f"{place}: expected a place to write to, found {found}; " in done.err
    assert tree(tmp_path) == before


def test_an_earlier_page_stays_until_the_new_one_is_there(data, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("earlier")
    assert nearfar("doctor", "data", tmp_path / "missing.jsonl", "--html", page).code == 2
    assert tree(tmp_path) == {"page.html": b"earlier"}
    assert nearfar("doctor", "data", data, "--html", page).code == 0
    assert list(tree(tmp_path)) == ["page.html"]
    assert b"Diagnosis of" in page.read_bytes()


def test_compare_says_who_is_better(run, data):
    done = nearfar("compare", run, "bm25", "--data", data, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert list(found["means"]) == sorted(found["means"], key=found["means"].get, reverse=True)
    [duel] = found["duels"]
    assert duel["comparison"]["difference"] == pytest.approx(np.subtract(*found["means"].values()))
    assert duel["verdict"] in {"better", "cannot tell"}
    same = nearfar("compare", run, run / "model", "--data", data)
    assert (same.code, "are the same model" in same.err) == (2, True)


def test_a_run_that_is_damaged_is_told(run, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(run, damaged)
    (damaged / "index" / "manifest.json").write_text("{")
    assert nearfar("doctor", "model", damaged, "--data", damaged / "data" / "beir").code == 2
    (damaged / "run.json").write_text('{"config": {}}')
    done = nearfar("doctor", "model", damaged)
    assert (done.code, len(done.lines)) == (2, 1)


def test_data_too_few_to_tell(tmp_path):
    few = tmp_path / "few.jsonl"
    few.write_text('{"query": "where is the key?", "positive": "Keys are at the desk."}\n')
    found = json.loads(nearfar("doctor", "data", few, "--json").out)["findings"]
    assert {finding["verdict"] for finding in found} == {"unknown"}


def test_a_set_without_training_queries_will_do(run, tmp_path):
    (tmp_path / "qrels").mkdir()
    for name, count in (("corpus", 60), ("queries", 40)):
        lines = [json.dumps({"_id": f"{name[0]}{i}", "text": f"text {i} of it"}) for i in range(count)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    judged = "".join(f"q{i}\tc{i}\t1\n" for i in range(40))
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    done = nearfar("doctor", "model", run, "--data", tmp_path, "--json")
    assert done.code == 0, done.err
    verdicts = {finding["failure"]: finding["verdict"] for finding in json.loads(done.out)["findings"]}
    assert verdicts["collapse"] != "unknown"
    assert verdicts["false_negatives"] == "unknown"
