"""The report: complete, self-contained, safe with hostile text, and drawn by a real browser."""

import re
import time
from dataclasses import replace

import numpy as np
import pytest
from markupsafe import escape

from chromium import dom_of
from nearfar.core.errors import BadInput
from nearfar.report.contents import Curve, Estimate, Example, Hit, ReportData, Similarities
from nearfar.report.figures import figures
from nearfar.report.html import render, write_report
from nearfar.report.vega import precedence

HOSTILE = "</script><script>document.title='owned'</script><!-- <img src=x onerror=\"document.title='owned'\">"
CODE = "def read(path):\n    with open(path, encoding='utf-8') as f:\n        return [line.rstrip() for line in f]"


def estimate(value, width):
    return Estimate(value, value - width, value + width)


def example(query, before, after):
    hits = (Hit(CODE, relevant=True), Hit("def size(path):\n    return os.stat(path).st_size", relevant=False))
    return Example(query, hits[::-1], hits, before, after)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    before = rng.choice([0.0, 1.0, 0.63, 0.5, 0.43, 0.39], 1500, p=[0.35, 0.35, 0.1, 0.1, 0.05, 0.05])
    after = np.where(rng.random(1500) < 0.35, rng.choice([1.0, 0.63, 0.5, 0.0], 1500, p=[0.6, 0.2, 0.1, 0.1]), before)
    steps = np.arange(1, 401)
    loss = 0.4 + 2 * np.exp(-steps / 80) + rng.normal(0, 0.08, 400)
    rate = 5e-5 * np.minimum(steps / 40, (1 + np.cos(np.pi * steps / 400)) / 2)
    names = {"nDCG@10": 0.0, "MRR@10": 0.03, "Recall@100": 0.22, "MAP@100": -0.02}
    means = {"BM25": 0.341, "base": 0.508, "model": 0.623}
    return ReportData(
        title="nearfar · Python 3.13 standard library, minilm",
        verdict="better: nDCG@10 0.623 (model) against 0.508 (base), +0.115 (95 % interval +0.10 to +0.13), p < 0.001",
        systems={s: {m: estimate(v + d, 0.014) for m, d in names.items()} for s, v in means.items()},
        curve=Curve(
            tuple(zip(steps.tolist(), loss.tolist(), rate.tolist(), strict=True)),
            tuple((s, 0.62 - 0.11 * np.exp(-s / 90)) for s in range(0, 401, 50)),
        ),
        before=before,
        after=after,
        similarities=Similarities(*(rng.normal(m, s, 2000).astype(np.float32) for m, s in SPREADS)),
        won=(example("Read all lines of a text file without the line ends.", 0.0, 1.0), example(HOSTILE, 0.39, 1.0)),
        lost=(example("Return the size of a file.", 1.0, 0.63),),
        facts={"train time": "167 s", "fingerprint": "3f9a0c12ab44d801", HOSTILE: HOSTILE},
        notices=("12 duplicate documents were merged", "made a test split by query and by document: 1,500 queries"),
    )


SPREADS = [(0.55, 0.14), (0.15, 0.11), (0.7, 0.1), (0.05, 0.09)]


def test_page_is_small_quick_and_whole(data, tmp_path):
    start = time.perf_counter()
    write_report(data, tmp_path / "report.html")
    assert time.perf_counter() - start < 10
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert 500_000 < (tmp_path / "report.html").stat().st_size < 3_000_000


def test_nothing_is_loaded_from_anywhere(data):
    page = render(data)
    own = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    escaped = str(escape(HOSTILE))
    assert not re.search(r"<(link|img|iframe|object|embed)\b|\b(src|href)=|@import|url\(", own.replace(escaped, ""))
    assert "default-src &#39;none&#39;" in own
    assert "unsafe-eval" not in own


def test_hostile_text_is_never_markup(data):
    page = render(replace(data, title=HOSTILE, verdict=HOSTILE, systems={HOSTILE: {HOSTILE: estimate(0.5, 0.1)}}))
    assert HOSTILE not in page
    assert "<img" not in page.split("<script>")[0]
    # three scripts that are ours: the data, Vega, the drawing
    assert len(re.findall(r"<script\b", page.lower())) == len(re.findall(r"</script>", page.lower())) == 3


def test_lone_surrogates_can_be_written(data, tmp_path):
    write_report(replace(data, title="bad \ud800 text"), tmp_path / "report.html")
    assert "bad ? text" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_unwritable_place_is_one_error(data, tmp_path):
    with pytest.raises(BadInput, match="expected a place to write to"):
        write_report(data, tmp_path / "missing" / "report.html")


def test_titles_say_the_finding(data):
    titles = {figure.name: figure.title for figure in figures(data)}
    assert titles["metrics"] == "Best on nDCG@10: model with 0.623 (base 0.508, BM25 0.341)"
    assert titles["training"].startswith("Dev nDCG@10 went from 0.510 to 0.619, best at step 400")
    won = np.mean([a > b for a, b in zip(data.after, data.before, strict=True)])
    assert titles["queries"].startswith(f"{100 * won:.0f}\u00a0% of the queries are better")


def test_bubbles_hold_every_query(data):
    (spec,) = next(f for f in figures(data) if f.name == "queries").panels
    values = [row for rows in spec["datasets"].values() for row in rows]
    assert sum(row.get("queries", 0) for row in values) == len(data.before)


def test_precedence_is_the_share_of_pairs():
    rng = np.random.default_rng(1)
    positives, negatives = (rng.integers(0, 6, n).astype(np.float32) for n in (40, 30))
    naive = np.mean([1.0 if p > n else 0.5 if p == n else 0.0 for p in positives for n in negatives])
    assert precedence(positives, negatives) == pytest.approx(naive)


def test_parts_without_data_are_left_out():
    bare = ReportData(title="t", verdict="cannot tell", systems={})
    assert figures(bare) == []
    page = render(bare)
    assert "Queries won" not in page
    assert "Test metrics" not in page


@pytest.mark.browser
def test_a_browser_draws_every_figure(data, tmp_path):
    path = tmp_path / "report.html"
    write_report(data, path)
    dom = dom_of(path, tmp_path / "profile").rsplit("</main>", 1)[0]
    panels = re.findall(
        r'<div class="panel[^>]*id="([^"]+)"[^>]*>(.*?)(?=<div class="panel|</section>)', dom, re.DOTALL
    )
    assert len(panels) == sum(len(figure.panels) for figure in figures(data)) == 7
    assert [name for name, body in panels if "<svg" not in body and "<canvas" not in body] == []
    assert "could not be drawn" not in dom
    assert "<title>owned" not in dom
