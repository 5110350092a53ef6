"""`nearfar plan`: what is measured, what is recommended, and how it is shown."""

import json
import re
from dataclasses import replace

import pytest

import nearfar as package
from chromium import dom_of
from command_line import SMALL, nearfar, tree
from nearfar.compress.registry import CODECS
from nearfar.core.errors import BadInput
from nearfar.pipeline.coding import Bench
from nearfar.pipeline.frontier import plan
from nearfar.pipeline.frontier_page import page_data
from nearfar.pipeline.progress import Silent
from nearfar.report import kept
from nearfar.report.filters import amount
from nearfar.report.html import render_plan
from tiny_models import pairs

FEW = ["float16", "int8", "truncate", "pq"]


class Heard(Silent):
    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("plan") / "run"
    package.fit(pairs(320), base="static", out=out, config=SMALL, reporter=Silent())
    return out


@pytest.fixture(scope="module")
def found(run):
    return plan(run, codecs=FEW, budget=16, documents=1_000_000)


def test_chosen_on_dev_and_reported_on_test(run, found):
    bench = Bench.open(run, None, Silent())
    assert found.measured_on == (320, *(len(bench.dataset.judged(split).queries) for split in ("dev", "test")))
    within = [point for point in found.points if point.size_bytes <= 16]
    assert found.choice.chosen_by == max(point.chosen_by for point in within)
    made = package.compress(run, [found.choice.size_bytes], found.choice.codec, overwrite=True)
    assert made.points[0].measured.kept["ndcg@10"] == found.choice.kept
    (row,) = kept.frontier(run).rows
    assert (row.codec, row.kept, row.made) == (found.choice.codec, found.choice.kept, True)


def test_the_recommendation_is_a_sentence_with_its_command(run, found):
    size, codec = found.choice.size_bytes, found.choice.codec
    assert re.fullmatch(
        rf"{size} bytes: \d+\.\d % ± \d+\.\d of full nDCG@10; 1,000,000 documents in {size} MB, "
        rf"and a codec of [\d.]+ (bytes|kB): "
        rf"nearfar compress {run} --bytes {size} --codec {codec}",
        found.recommendation,
    )


def test_json_has_points_and_a_recommendation(run, tmp_path):
    before, page = tree(run), tmp_path / "plan.html"
    done = nearfar("plan", run, "--codecs", "int8,truncate", "--bytes", "8,32", "--budget", 32, "--documents", 1000,
                   "--html", page, "--json")  # fmt: skip
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert set(record) == {"points", "recommendation"}
    assert next((point["codec"], point["bytes"]) for point in record["points"]) == ("truncate", 8)
    assert {point["bytes"] for point in record["points"]} == {8, 32}
    for point in record["points"]:
        assert {"retained_ndcg@10", "interval", "index_bytes", "ms_per_query", "frontier"} <= set(point)
        assert point["interval"][0] <= point["retained_ndcg@10"] <= point["interval"][1]
        assert point["index_bytes"] == 1000 * point["bytes"]
        assert point["ms_per_query"] >= 0
    assert sum(point["recommended"] for point in record["points"]) == 1
    assert "left out: codec 'int8'" in done.err
    assert page.stat().st_size > 100_000
    assert set(tree(run)) == {*before, "plan.json"}
    rows = kept.frontier(run).rows
    assert [(row.codec, row.size_bytes, row.kept.value) for row in rows if not row.made] == [
        (point["codec"], point["bytes"], point["retained_ndcg@10"]) for point in record["points"]
    ]


def test_people_see_a_table(run):
    done = nearfar("plan", run, "--codecs", "int8", "--budget", 32)
    lines = done.out.splitlines()
    assert lines[0].split() == [
        "bytes",
        "codec",
        "ndcg@10",
        "kept",
        "codes",
        "codec",
        "ms",
        "a",
        "query",
        "s",
        "to",
        "fit",
    ]
    assert lines[1].split()[:2] == ["32", "int8"]
    assert lines[1].endswith("*")
    assert lines[2].split()[:3] == ["128", "full", "vectors"]
    assert lines[-1].endswith(f"nearfar compress {run} --bytes 32 --codec int8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--codecs", "int8", "--budget", "16"], "budget: expected 32 bytes or more, and a size within it, found 16"),
        (["--codecs", "int8,binari"], "did you mean 'binary'?"),
        (["--codecs", "int8", "--bytes", "31"], "found 31 bytes; choose 32"),
        (["--codecs", "truncate", "--bytes", "16", "--budget", "8"], "expected 1 bytes or more, and a size within it"),
        (["--bytes", "x"], "--bytes: expected whole numbers with commas, found 'x'"),
        (["--html", "no/where/plan.html"], "no/where/plan.html: expected a place to write to"),
        (["--budget", "0"], "--budget"),
    ],
)
def test_what_cannot_be_is_one_line(run, arguments, message):
    done = nearfar("plan", run, *arguments)
    assert done.code == 2
    assert message in done.lines[-1]


def test_without_dev_queries_the_test_queries_are_halved(run):
    data, heard = Bench.open(run, None, Silent()).dataset, Heard()
    only = replace(data, splits={"test": data.splits["test"]})
    found = plan(run, data=only, codecs=["int8"], reporter=heard)
    count = len(data.judged("test").queries)
    assert sorted(found.measured_on[1:]) == [count // 2, count - count // 2]
    assert any("half of the test queries choose" in line for line in heard.lines)


def test_a_slow_codec_is_left_after_its_time_unless_its_sizes_were_asked_for(run, monkeypatch):
    monkeypatch.setattr("nearfar.pipeline.frontier.PATIENCE_S", 0.0)
    heard = Heard()
    found = plan(run, codecs=["truncate"], budget=16, reporter=heard)
    assert [point.size_bytes for point in found.points] == [16]
    assert any("measure them with --codecs truncate --bytes 8,32" in line for line in heard.lines)
    assert len(plan(run, codecs=["truncate"], sizes=[4, 8], budget=16).points) == 2


def test_learned_codecs_get_queries_and_others_none(run, monkeypatch):
    seen = {}

    def noting(name):
        kind = CODECS["int8"]
        return replace(kind, fit=lambda sample, size: (seen.update({name: sample}), kind.fit(sample, size))[1],
                       learned=name == "taught")  # fmt: skip

    for name in ("taught", "plain"):
        monkeypatch.setitem(CODECS, name, noting(name))
    plan(run, codecs=["taught", "plain"])
    assert len(seen["taught"].queries) == len(seen["taught"].positives) > 100
    assert not len(seen["plain"].queries)


@pytest.mark.parametrize(
    ("size", "words"),
    [(12, "12 bytes"), (32_000_000, "32 MB"), (1_536_000_000, "1.54 GB"), (999_000, "999 kB"), (137_408, "137 kB")],
)
def test_bytes_in_words(size, words):
    assert amount(size) == words


def test_the_page_is_whole_and_safe(found):
    hostile = "</script><img onerror=\"document.title='owned'\" src=x>"
    page = render_plan(replace(page_data(found), title=hostile))
    assert hostile not in page
    assert len(re.findall(r"<script\b", page.lower())) == len(re.findall(r"</script>", page.lower())) == 3
    assert page.count("take this") == 1
    assert found.recommendation in page


@pytest.mark.browser
@pytest.mark.slow
def test_the_chart_is_drawn(found, tmp_path):
    page = tmp_path / "plan.html"
    page.write_text(render_plan(page_data(found)), encoding="utf-8")
    assert "<canvas" in (dom := dom_of(page, tmp_path / "profile")) or "<svg" in dom


def test_queries_that_full_vectors_do_not_answer_measure_nothing(run):
    data = Bench.open(run, None, Silent()).dataset
    test = data.splits["test"]
    with pytest.raises(BadInput, match="expected test queries with an answer in the index, found none"):
        plan(run, data=replace(data, splits={**data.splits, "test": test.where(test.scores < 0)}), codecs=["int8"])
