"""Graded pairs and labelled texts: read as they are given, from whatever holds them."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nearfar.core.errors import BadInput
from nearfar.data.config import DataConfig
from nearfar.data.graded import read_graded
from nearfar.data.labelled import read_labelled

PAIRS = [("a", "b", 2.0), ("a", "b", 1.0), ("c", "c", 5.0)]  # one twice, one of equal texts
TEXTS = [("x", "red"), ("y", "blue"), ("x", "blue")]
COLUMNS = {"pairs": ("sentence1", "sentence2", "score"), "labelled": ("text", "label")}


def write(path, kind, rows):
    dicts = [dict(zip(COLUMNS[kind], row, strict=True)) for row in rows]
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(dicts), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in dicts))
    else:
        mark = {".csv": ",", ".tsv": "\t"}[path.suffix]
        path.write_text("\n".join(mark.join(map(str, row)) for row in [COLUMNS[kind], *rows]) + "\n")
    return path


def triples(found):
    return list(zip(found.first, found.second, found.scores.tolist(), strict=True))


def pairs(found):
    return list(zip(found.texts, found.labels, strict=True))


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.tsv", "a.parquet"])
def test_every_table_is_read_as_it_is(tmp_path, name):
    graded = read_graded(write(tmp_path / name, "pairs", PAIRS))
    assert {split: triples(found) for split, found in graded.splits.items()} == {"train": PAIRS}
    labelled = read_labelled(write(tmp_path / name, "labelled", TEXTS))
    assert {split: pairs(found) for split, found in labelled.splits.items()} == {"train": TEXTS}


def test_files_of_a_folder_are_its_splits(tmp_path):
    for split in ("train", "test"):
        write(tmp_path / f"{split}.csv", "pairs", PAIRS)
    assert list(read_graded(tmp_path).splits) == ["train", "test"]
    for split in ("train", "validation"):
        write(tmp_path / f"{split}.csv", "labelled", TEXTS)
    (tmp_path / "test.csv").unlink()
    assert list(read_labelled(tmp_path).splits) == ["train", "dev"]


def beir(folder, judgements):
    (folder / "qrels").mkdir()
    for name, ids in (("corpus", "de"), ("queries", "qr")):
        (folder / f"{name}.jsonl").write_text("".join(f'{{"_id": "{i}", "text": "text {i}"}}\n' for i in ids))
    lines = ["query-id\tcorpus-id\tscore", *(f"{q}\t{d}\t{score}" for q, d, score in judgements)]
    (folder / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n")


def test_a_beir_folder_has_both(tmp_path):
    beir(tmp_path, [("q", "d", 3), ("q", "e", 0), ("r", "e", 1)])
    graded = [("text q", "text d", 3.0), ("text q", "text e", 0.0), ("text r", "text e", 1.0)]
    assert triples(read_graded(tmp_path).splits["test"]) == graded
    assert pairs(read_labelled(tmp_path).splits["test"]) == [("text q", "d"), ("text r", "e")]
    (tmp_path / "grades.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t4.5\n")
    assert triples(read_graded(tmp_path).splits["test"]) == [("text q", "text d", 4.5)]


def test_a_query_with_two_labels_is_told(tmp_path):
    beir(tmp_path, [("q", "d", 1), ("q", "e", 1)])
    with pytest.raises(
        BadInput, match=r" test: expected one relevant document a query, its label, found 2 of 'text q'"
    ):
        read_labelled(tmp_path)


def test_values_in_memory():
    assert triples(read_graded([*PAIRS, {"query": "d", "document": "e", "score": 3}]).splits["train"])[-1][2] == 3
    assert pairs(read_labelled([*TEXTS, {"text": "z", "label": 7}]).splits["train"])[-1] == ("z", "7")


def test_columns_are_mapped():
    rows = [{"utterance": "a", "kind": "b", "label": "other"}]
    found = read_labelled(rows, DataConfig(columns={"text": "utterance", "label": "kind"}))
    assert pairs(found.splits["train"]) == [("a", "b")]


@pytest.mark.parametrize(
    ("read", "rows", "message"),
    [
        (read_graded, [("a", "b")], r"records:1: expected a score column .* found columns 'query', 'positive'; map it"),
        (read_graded, [("a", "b", 1), ("a", "", 1)], "records:2: expected text in 'positive', found an empty one"),
        (read_graded, [("a", "b", "high")], "records:1: expected a number in 'score', found 'high'"),
        (read_graded, ["ab"], "records:1: expected a query column"),
        (read_graded, [], "records: expected rows, found none"),
        (read_labelled, [("a", "b"), ("c", None)], "records:2: expected a label in 'label', found none; fill it in"),
        (read_labelled, [("a", 1.5)], "records:1: expected a name in 'label', found float '1.5'"),
        (read_labelled, [{"label": "b"}], "records:1: expected a text column .* 'columns: {text: NAME}'"),
        (read_labelled, [{"text": "b"}], "records:1: expected a label column .* 'columns: {label: NAME}'"),
        (read_labelled, [], "records: expected rows, found none"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_used_are_told(read, rows, message):
    with pytest.raises(BadInput, match=message):
        read(rows)


def test_bad_rows_can_be_skipped():
    config = DataConfig(skip_bad_rows=True)
    graded = read_graded([*PAIRS, ("a", "b")], config)
    assert triples(graded.splits["train"]) == PAIRS
    assert graded.notices[0] == "skipped 1 bad rows"
    labelled = read_labelled([*TEXTS, ("a", "")], config)
    assert pairs(labelled.splits["train"]) == TEXTS
    assert labelled.notices[0] == "skipped 1 bad rows"


@pytest.mark.parametrize(("read", "field"), [(read_graded, "label"), (read_labelled, "score")])
def test_columns_of_another_kind_of_table_are_refused(read, field):
    with pytest.raises(BadInput, match=f"found one for {field}; leave 'columns.{field}' out"):
        read([{"query": "a", "positive": "b", "score": 1}], DataConfig(columns={field: "query"}))
