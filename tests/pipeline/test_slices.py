"""Slices against a count by hand, and that none of the queries is lost."""

import json

import numpy as np
import pytest

from command_line import nearfar
from nearfar.data.dataset import Dataset, Pairs, Texts
from nearfar.pipeline.evaluate import evaluate
from nearfar.pipeline.slices import slices

METRIC = "ndcg@10"


@pytest.fixture
def dataset():
    documents = [f"common words and thing{number}" for number in range(40)]
    queries = [
        f"thing{number}" if number % 2 else f"please find common words near thing{number}" for number in range(40)
    ]
    texts = Texts([f"q{i}" for i in range(40)], queries, sources=["wiki"] * 10 + ["mail"] * 30)
    pairs = Pairs.of([(i, i, 1.0) for i in range(40)])
    return Dataset("made", texts, Texts([f"d{i}" for i in range(40)], documents), {"test": pairs})


def test_each_slice_is_the_mean_of_its_queries(dataset):
    found = evaluate("bm25", dataset, metrics=[METRIC])
    cut = slices(dataset, found, METRIC)
    values = found.per_query[METRIC]
    by_source = {one.name: one for one in cut if one.by == "source"}
    assert by_source["wiki"].queries == 10
    assert by_source["wiki"].mean == pytest.approx(values[:10].mean())
    assert by_source["mail"].low <= values[10:].mean() <= by_source["mail"].high
    lengths = [one for one in cut if one.by == "length"]
    assert [one.queries for one in lengths] == [20, 20]
    assert lengths[0].mean == pytest.approx(np.mean([v for i, v in enumerate(values) if i % 2]))


def test_a_way_that_does_not_cut_is_left_out(dataset):
    found = evaluate("bm25", dataset, metrics=[METRIC])
    assert "rarity" not in {one.by for one in slices(dataset, found, METRIC)}  # each rarest word is in one document


def test_the_verb_prints_and_gives_them(tmp_path):
    data = tmp_path / "pairs.jsonl"
    asked = ["where is " * (number % 3) + f"thing{number}" for number in range(30)]
    rows = [{"query": query, "positive": f"thing{number}"} for number, query in enumerate(asked)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = nearfar("eval", "bm25", "--data", data, "--split", "train", "--slices")
    assert done.code == 0, done.err
    assert "by length" in done.out
    found = json.loads(nearfar("eval", "bm25", "--data", data, "--split", "train", "--slices", "--json").out)
    assert {one["by"] for one in found["slices"]} >= {"length"}
    assert "slices" not in json.loads(nearfar("eval", "bm25", "--data", data, "--split", "train", "--json").out)
