"""`nearfar mine` from data to training, and the same negatives as sentence-transformers."""

import json

import datasets
import numpy as np
import pytest
import torch
from sentence_transformers.util import mine_hard_negatives

import nearfar as package
from command_line import nearfar, options, tree, write_pairs
from nearfar.core.errors import BadInput
from nearfar.data.config import DataConfig
from nearfar.data.read import as_dataset, load
from nearfar.encoder.load import load_encoder
from nearfar.encoder.save import save_encoder
from nearfar.pipeline.mine import mine
from tiny_models import pairs, tiny_static


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("data") / "pairs.jsonl")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "static"
    save_encoder(tiny_static(), folder, card="")
    return folder


def mined(*arguments):
    done = nearfar("mine", *arguments, "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def negatives(dataset):
    """(query, document) texts of the judged negatives."""
    train = dataset.splits["train"].where(dataset.splits["train"].scores <= 0)
    return {(dataset.queries.texts[q], dataset.documents.texts[d])
            for q, d in zip(train.queries, train.documents, strict=True)}  # fmt: skip


def test_from_data_to_training(data, tmp_path):
    out = tmp_path / "mined"
    record = mined("bm25", "--data", data, "--out", out, "--negatives", 2, "--rank_from", "1")
    assert record["queries"] == record["queries_with"] == record["documents"] == 120
    assert record["negatives"] == 240
    assert record["left_out"] == {"positive": 120, "skipped": 120, "margin": 0, "filter": 0}
    read, original = load(DataConfig(source=str(out))), load(DataConfig(source=str(data)))
    assert (read.queries, read.documents) == (original.queries, original.documents)
    train = read.splits["train"]
    assert len(train.relevant) == 120
    assert int((train.scores == 0).sum()) == 240
    texts = negatives(read)
    listed = rows(out / "negatives.jsonl")
    assert {(row["query"], text) for row in listed for text in row["negative"]} == texts
    assert all(len(row["negative"]) == len(row["negative_scores"]) == 2 for row in listed)
    again = load(DataConfig(source=str(out / "negatives.jsonl")))
    assert len(again.splits["train"]) == 360

    fitted = nearfar("fit", "--base", "static", "--data", out, "--out", tmp_path / "run", *options(train__epochs=1))
    assert fitted.code == 0, fitted.err


def test_people_are_told(data, model, tmp_path):
    done = nearfar("mine", model, "--data", data, "--out", tmp_path / "mined", "--relative_margin", "0.05")
    assert done.code == 0, done.err
    assert "queries, out of 120 documents" in done.out
    assert "120 known positives" in done.out
    assert "over a margin" in done.out
    suspects = rows(tmp_path / "mined" / "suspects.jsonl")
    assert suspects[0]["query"] in done.out
    assert suspects[0]["document"][:60] in done.out
    assert all(s["score"] > 0.95 * s["positive_score"] - 1e-5 for s in suspects)
    worst = [s["score"] - s["positive_score"] for s in suspects]
    assert worst == sorted(worst, reverse=True)


def test_the_same_call_reads_what_another_is_refused(data, model, tmp_path):
    out, arguments = tmp_path / "mined", [model, "--data", data, "--out", tmp_path / "mined"]
    first = mined(*arguments)
    before = tree(out)
    assert mined(*arguments) == first
    assert tree(out) == before
    other = tmp_path / "other"
    save_encoder(tiny_static(seed=1), other, card="")
    for changed in (
        [other, *arguments[1:]],  # other weights
        [*arguments, "--negatives", "2"],  # other settings
        [model, "--data", write_pairs(tmp_path / "more.jsonl", 121), *arguments[3:]],  # other data
        [*arguments, "--filter", "bm25"],
    ):
        done = nearfar("mine", *changed)
        assert done.code == 2
        assert "expected negatives of these models, data and settings, found those of others" in done.lines[-1]
        assert tree(out) == before
    assert mined(other, *arguments[1:], "--overwrite")["key"] != first["key"]


def test_weights_that_changed_under_the_same_name_are_mined_again(data, tmp_path):
    model, out = tmp_path / "model", tmp_path / "mined"
    save_encoder(tiny_static(), model, card="")
    first = mined(model, "--data", data, "--out", out)
    save_encoder(tiny_static(seed=1), model, card="", overwrite=True)
    assert nearfar("mine", model, "--data", data, "--out", out).code == 2
    assert mined(model, "--data", data, "--out", out, "--overwrite")["systems"] != first["systems"]


def test_a_yaml_and_python_give_the_same(data, model, tmp_path):
    mine_ = f"mine:\n  model: {model}\n  negatives: 2\n  max_score: 0.5\n  precision: fp32\n"  # not as probed: twice
    (tmp_path / "c.yaml").write_text(f"data:\n  source: {data}\n{mine_}")
    record = mined("--config", tmp_path / "c.yaml", "--out", tmp_path / "mined")
    found = package.mine(model, data, config={"negatives": 2, "max_score": 0.5, "precision": "fp32"})
    assert found.path is None
    assert found.record == {key: record[key] for key in found.record}


def test_the_second_model_refuses_what_it_scores_above_the_positive(data, model):
    plain = package.mine("bm25", data, config={"rank_to": 3})
    filtered = package.mine("bm25", data, config={"rank_to": 3, "filter": str(model)})
    assert filtered.record["left_out"]["filter"] > 0
    assert filtered.record["negatives"] < plain.record["negatives"]
    encoder = load_encoder(model)
    vectors = {text: encoder.model.encode(text) for side in (filtered.dataset.queries, filtered.dataset.documents)
               for text in side.texts}  # fmt: skip
    positive = dict(pairs(120))
    for query, document in negatives(filtered.dataset):
        assert vectors[query] @ vectors[document] <= vectors[query] @ vectors[positive[query]] + 1e-5


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {}),
        ({"rank_from": 5}, {"range_min": 5}),
        ({"absolute_margin": 0.05}, {"absolute_margin": 0.05}),
        ({"relative_margin": 0.05}, {"relative_margin": 0.05}),
        ({"relative_margin": 0.2, "max_score": 0.3}, {"relative_margin": 0.2, "max_score": 0.3}),
    ],
)
@pytest.mark.parametrize("several", [False, True])
def test_the_same_negatives_as_sentence_transformers(ours, theirs, several):
    rows, depth = pairs(150), 40
    if several:  # positives of some queries; the peer's window is then wider, but not wider than all documents
        rows, depth = [*rows, (rows[0][0], rows[1][1]), (rows[2][0], rows[3][1])], 148
    encoder = tiny_static()
    peer = mine_hard_negatives(
        datasets.Dataset.from_dict({"query": [q for q, _ in rows], "positive": [d for _, d in rows]}),
        encoder.model, num_negatives=4, range_max=depth, verbose=False, **theirs,
    )  # fmt: skip
    expected = {}
    for row in peer:
        expected.setdefault(row["query"], set()).add(row["negative"])
    found = mine(encoder, rows, config={"negatives": 4, "rank_to": depth, "precision": "fp32", **ours}).dataset
    got = {}
    for query, document in negatives(found):
        got.setdefault(query, set()).add(document)
    assert got == expected
    assert len(expected) > 100


def test_the_suspect_stands_beside_the_positive_it_was_compared_with(model):
    rows = pairs(40)
    rows += [(rows[0][0], rows[i][1]) for i in (7, 8, 9)]  # a query with four positives
    encoder = load_encoder(model)
    suspects = mine(encoder, rows, config={"rank_to": 36, "relative_margin": 0.9, "precision": "fp32"}).suspects
    assert any(suspect.query == rows[0][0] for suspect in suspects)
    for suspect in suspects:
        query, positive, document = encoder.model.encode([suspect.query, suspect.positive, suspect.document])
        assert query @ positive == pytest.approx(suspect.positive_score, abs=1e-5)
        assert query @ document == pytest.approx(suspect.score, abs=1e-5)


def test_a_model_without_finite_vectors_is_refused(data):
    encoder = tiny_static()
    with torch.no_grad():
        next(encoder.model.parameters()).fill_(float("nan"))
    with pytest.raises(BadInput, match="expected a finite vector, found NaN"):
        mine(encoder, data)


def test_groups_and_other_splits_are_never_negatives():
    rows = [{"query": q, "positive": d, "group": str(i % 4)} for i, (q, d) in enumerate(pairs(40))]
    data = as_dataset(rows)
    found = package.mine("bm25", data, config={"negatives": 30, "rank_to": 39}).dataset
    train = found.splits["train"]
    groups = np.array(found.queries.groups)[train.queries], np.array(found.documents.groups)[train.documents]
    assert ((groups[0] == groups[1]) == (train.scores > 0)).all()
