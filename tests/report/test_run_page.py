"""The one page of a run: whole, self-contained, safe with hostile text, and without what is not there."""

import re
from dataclasses import replace

import numpy as np
import pytest

from chromium import dom_of
from nearfar.diagnose.finding import Finding, Fix, Threshold
from nearfar.evaluate.statistics import Share
from nearfar.report.contents import Curve, Estimate, ReportData
from nearfar.report.doctor_contents import Place, Point
from nearfar.report.html import render_run, write_run
from nearfar.report.plan_contents import PlanData, PlanRow
from nearfar.report.run_contents import RunData
from shown_runs import HOSTILE


@pytest.fixture(scope="module")
def data():
    rng, mark = np.random.default_rng(0), HOSTILE[0]
    means = {"BM25": 0.3, "base model": 0.4, "trained model": 0.5}
    report = ReportData(
        title=mark, verdict=HOSTILE[1], before=rng.random(20), after=rng.random(20),
        systems={name: {"ndcg@10": Estimate(mean, mean - 0.1, mean + 0.1)} for name, mean in means.items()},
        curve=Curve(((1, 2.0, 0.0), (2, 1.0, 0.0)), ((0, 0.4), (2, 0.5))), facts={mark: mark}, notices=(mark,),
    )  # fmt: skip
    rule = Threshold("spread", 0.8, 0.5, mark)
    finding = Finding("collapse", "fail", mark, {"spread": 0.2}, (rule,), ({"document": mark},),
                      Fix({"train": {"temperature": 0.05}}, mark))  # fmt: skip
    points = tuple(Point(float(n), float(n), "document", "document", mark, mark) for n in range(5))
    rows = tuple(PlanRow(mark, size, Share(0.5, 0.4, 0.6), "1 kB", "2 kB", float("nan"), 1.0, frontier=False,
                         recommended=False, made=True) for size in (8, 16))  # fmt: skip
    plan = PlanData("Compression", "", None, 100, rows, {})
    return RunData(report, (mark,), (finding,), Place(mark, points, "UMAP"), plan)


def test_it_is_whole_and_asks_for_nothing(data):
    page = render_run(data)
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    parts = ["Test metrics", "Seen while it trained", "Findings of the doctor", "Every codec and size", "Facts"]
    assert [part for part in headings if part in parts] == parts
    assert 'class="fail">0.2<' in page
    assert "temperature: 0.05" in page
    own = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"<(link|img|iframe|object|embed)\b|@import|url\(", own)
    assert HOSTILE[0] not in page
    assert HOSTILE[1] not in page
    assert len(re.findall(r"<script\b", page.lower())) == 3  # the data, Vega, the drawing


def test_what_is_not_there_is_left_out(data):
    bare = RunData(ReportData("a", "b", {}))
    page = render_run(bare)
    assert re.findall(r"<h\d>.*?</h\d>", page.partition("<script")[0]) == ["<h1>a</h1>"]
    assert "Every codec" not in render_run(replace(data, plan=None))


@pytest.mark.browser
def test_a_browser_draws_every_figure(data, tmp_path):
    write_run(data, tmp_path / "run.html")
    dom = dom_of(tmp_path / "run.html", tmp_path / "profile")
    panels = re.findall(r'<div class="panel[^>]*id="([^"]+)"[^>]*>(.{0,600})', dom, re.DOTALL)
    assert {name for name, _ in panels} == {"metrics-0", "queries-0", "training-0", "training-1", "map-0", "quality-0"}
    assert [name for name, drawn in panels if "<svg" not in drawn] == []
    assert "<title>owned" not in dom
