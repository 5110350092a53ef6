"""Runs as the page shows them, whatever lies in their folder."""

import json

import numpy as np
import pytest
from fastapi.testclient import TestClient

from nearfar.core.artifact import writing
from nearfar.encoder.precision import Policy
from nearfar.serve.app import app_of
from nearfar.serve.config import ServeConfig
from nearfar.serve.runs import MOST_POINTS, detail, summary
from nearfar.serve.service import Service

COMPARED = {"mean_a": 0.6, "mean_b": 0.5, "difference": 0.1, "low": 0.05, "high": 0.15, "p_value": 0.01, "wins": 3,
            "losses": 1, "ties": 0}  # fmt: skip
RECORD = {"verdict": "better", "better": True, "metrics": {"bm25": {"ndcg@10": 0.3}, "model": {"ndcg@10": 0.6}},
          "comparisons": {"base": COMPARED}, "train_seconds": 3.5, "losses": [2.0, 1.0], "dev": [[0, 0.5], [2, 0.6]],
          "alarms": [[1, "collapse", "all alike"]]}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    def run(name, **files):
        (tmp_path / name).mkdir()
        for file, content in files.items():
            (tmp_path / name / file.replace("_", ".")).write_text(content)
        return tmp_path / name

    run("done", run_json=json.dumps(RECORD), report_html="<p>report")
    run("damaged", run_json="{")
    run("odd", run_json=json.dumps({**RECORD, "metrics": [1], "verdict": 3, "losses": [None, "x", 1.0],
                                 "dev": [[1], 2, [3, 0.5]], "alarms": [[1, "collapse"], None]}))  # fmt: skip
    run("going", started_json="{}")
    run("other", notes_txt="no run")
    (tmp_path / "file.html").write_text("secret")
    return tmp_path


@pytest.fixture
def shown(place, folder):
    service = Service.open(place / "model", ServeConfig(), policy=Policy())
    service.runs = folder
    with TestClient(app_of(service), base_url="http://localhost") as client:
        yield client


def test_runs_are_listed_and_one_is_shown(shown):
    runs = {run["name"]: run for run in shown.get("/runs").json()["runs"]}
    states = {name: run["state"] for name, run in runs.items()}
    assert states == {"done": "finished", "damaged": "damaged", "odd": "finished", "going": "unfinished"}
    assert runs["done"]["comparisons"]["base"] == {
        name: COMPARED[name] for name in ("difference", "low", "high", "p_value")
    }
    assert (runs["odd"]["metrics"], runs["odd"]["verdict"], runs["odd"]["better"]) == ({}, "", True)
    assert shown.get("/runs/odd").json()["curves"] == {"train/loss": [[1, 1.0]], "dev": [[3, 0.5]]}
    done = shown.get("/runs/done").json()
    assert done["curves"] == {"train/loss": [[1, 2.0], [2, 1.0]], "dev": [[0, 0.5], [2, 0.6]]}
    assert done["alarms"] == [[1, "collapse", "all alike"]]


def test_no_name_leads_out_of_the_folder(shown):
    for path in ("/runs/none", "/runs/other", "/runs/%2E%2E", "/runs/..%2Fdone", "/runs/done/run.json",
                 "/runs/done/..%2F..%2Ffile.html", "/runs/done/plan.html", "/runs/file.html"):  # fmt: skip
        assert shown.get(path).status_code == 404, path
    page = shown.get("/runs/done/report.html")
    assert page.text == "<p>report"
    assert page.headers["content-security-policy"].startswith("sandbox allow-scripts; default-src 'none';")


def test_runs_are_off_for_a_service_without(client):
    assert client.get("/runs").status_code == 403
    assert client.get("/about").json()["runs"] is False


def test_a_run_that_trains_shows_its_file_of_curves_or_its_last_checkpoint(folder):
    going = folder / "going"
    for step, losses in ((5, [1.0] * 5), (9, [1.0] * 9)):
        state = {"progress": {"losses": losses, "dev": [[0, 0.2]], "alarms": []}}
        with writing(
            going / "checkpoints" / "first" / f"step-{step:08d}", "checkpoint", {"step": step, "state": state}
        ):
            pass
    assert len(detail(going).curves["train/loss"]) == 9
    lines = (
        '{"step": 1, "train/loss": 2.5, "seconds": 1}\n[3]\n'
        '{"step": 2, "train/loss": 1.5, "dev/ndcg@10": 0.5}\n{"step": 3, "tr'
    )
    (going / "curves.jsonl").write_text(lines)
    (going / "started.json").write_text(json.dumps({"curves": str(going / "curves.jsonl")}))
    assert detail(going).curves == {"train/loss": [(1, 2.5), (2, 1.5)], "dev/ndcg@10": [(2, 0.5)]}
    assert summary(going).changed >= (going / "curves.jsonl").stat().st_mtime


def test_a_long_curve_keeps_its_mean(folder):
    losses = np.random.default_rng(0).normal(size=20 * MOST_POINTS).tolist()
    (folder / "done" / "run.json").write_text(json.dumps({**RECORD, "losses": losses}))
    curve = np.array(detail(folder / "done").curves["train/loss"])
    assert curve.shape == (MOST_POINTS, 2)
    np.testing.assert_allclose(curve.mean(axis=0), [(len(losses) + 1) / 2, np.mean(losses)])
