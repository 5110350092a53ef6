"""Every kind of input, read against what was written by hand."""

import gzip
import json
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nearfar.core.errors import BadInput, MissingExtra
from nearfar.data.beir import write_beir
from nearfar.data.check import check
from nearfar.data.config import DataConfig
from nearfar.data.dataset import Dataset, Pairs, Texts
from nearfar.data.hub import is_hub_name
from nearfar.data.read import as_dataset, from_records, load
from nearfar.data.records import Record

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
ROWS = [("red fox", "a fox that is red"), ("blue whale", 'a "blue" whale, large'), ("grüner Wal", "鯨は緑")]


def triples(dataset, split="train"):
    """(query, document, score) as text, in the order of the pairs."""
    pairs = dataset.splits[split]
    rows = zip(pairs.queries, pairs.documents, pairs.scores, strict=True)
    return [(dataset.queries.texts[q], dataset.documents.texts[d], float(s)) for q, d, s in rows]


def read(path, **settings):
    return load(DataConfig(source=str(path), **settings))


def write_rows(path, names=("query", "positive")):
    dicts = [dict(zip(names, row, strict=True)) for row in ROWS]
    if ".json" in path.name:
        data = "".join(json.dumps(row) + "\n" for row in dicts).encode()
    elif ".csv" in path.name:
        quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in (names, *ROWS)]
        data = "\r\n".join(quoted).encode()
    else:
        data = "".join("\t".join(row) + "\n" for row in (names, *ROWS)).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.json", "a.csv", "a.tsv", "a.JSONL", "a.jsonl.gz", "a.csv.gz", "a.tsv.gz", "a.parquet"]
)
def test_every_format_gives_the_same_pairs(tmp_path, name):
    path = tmp_path / name
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist([{"query": q, "positive": p} for q, p in ROWS]), path)
    else:
        write_rows(tmp_path / name.lower())
        (tmp_path / name.lower()).rename(path)
    dataset = read(path)
    assert triples(dataset) == [(*row, 1.0) for row in ROWS]
    assert list(dataset.splits) == ["train"]
    assert dataset.name == "a"


@pytest.mark.parametrize(
    "names",
    [("Anchor", "Answer"), ("question", "passage"), ("sentence1", "sentence2"), ("QUERY", "document")],
)
def test_columns_are_known_by_name_in_any_case(tmp_path, names):
    write_rows(tmp_path / "a.csv", names)
    assert len(triples(read(tmp_path / "a.csv"))) == 3


def test_the_users_mapping_comes_first(tmp_path):
    write_rows(tmp_path / "a.tsv", ("document", "query"))
    dataset = read(tmp_path / "a.tsv", columns={"query": "document", "positive": "Query"})
    assert triples(dataset)[0][:2] == ROWS[0]


def test_lists_and_numbered_columns_are_several_documents():
    rows = [
        {"query": "a", "positives": ["b", "c"], "negatives": ["d"]},
        {"query": "e", "positive_1": "f", "positive_2": "g", "negative_1": "", "negative_2": None},
        ("h", "i", "j", "k"),
    ]
    expected = [("a", "b", 1), ("a", "c", 1), ("a", "d", 0), ("e", "f", 1), ("e", "g", 1)]
    assert triples(from_records(rows)) == [*expected, ("h", "i", 1), ("h", "j", 0), ("h", "k", 0)]


def test_records_are_taken_as_they_are():
    record = Record("q", ("a", "b"), ("n",), None, "g")
    dataset = from_records([record])
    assert triples(dataset) == [("q", "a", 1), ("q", "b", 1), ("q", "n", 0)]
    assert list(dataset.queries.groups) == ["g"]
    assert list(dataset.documents.groups) == ["g", "g", ""]


def test_scores_are_halved_and_said(tmp_path):
    (tmp_path / "a.csv").write_text("sentence1,sentence2,score\na,b,5\nc,d,2.5\ne,f,2.6\ng,h,0\n")
    dataset = read(tmp_path / "a.csv")
    assert [score for *_, score in triples(dataset)] == pytest.approx([5, 0, 2.6, -2.5])
    assert "above 2.5 are positive" in dataset.notices[-1]
    assert len(read(tmp_path / "a.csv", positive_above=4).splits["train"].relevant) == 1


def test_a_negative_threshold_keeps_positives_above_zero():
    rows = [{"query": "a", "positive": "b", "score": -0.5}, {"query": "c", "positive": "d", "score": -2}]
    scores = from_records(rows, DataConfig(positive_above=-1)).splits["train"].scores
    assert scores.tolist() == [0.5, -1.0]


def test_quoted_cells_run_over_lines_and_exceed_the_limit_of_csv(tmp_path):
    (tmp_path / "a.csv").write_text(f'query,positive\nq,"two\nlines"\nr,{"x" * 200_000}\n')
    assert [len(d) for _, d, _ in triples(read(tmp_path / "a.csv"))] == [9, 200_000]


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfquery,positive\na,b\n")
    assert triples(read(tmp_path / "a.csv")) == [("a", "b", 1)]


def test_a_folder_of_splits_takes_their_usual_names(tmp_path):
    for name in ("pairs-train.tsv", "validation.csv", "test-00000-of-00002.jsonl", "test-00001-of-00002.jsonl"):
        write_rows(tmp_path / name)
    dataset = read(tmp_path)
    assert {split: len(pairs) for split, pairs in dataset.splits.items()} == {"train": 3, "dev": 3, "test": 3}
    assert len(dataset.documents) == 3


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_beir_joins_title_and_text(tmp_path, suffix):
    def put(name, text):
        path = tmp_path / (name + suffix)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()) if suffix else text.encode())

    put("corpus.jsonl", '{"_id": "d1", "title": "T", "text": "x"}\n{"_id": 2, "title": "", "text": "y"}\n')
    put("queries.jsonl", '{"_id": "q1", "text": "asked"}\n')
    put("qrels/val.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\t2\t0\n")
    dataset = read(tmp_path)
    assert triples(dataset, "dev") == [("asked", "T x", 2), ("asked", "y", 0)]
    assert list(dataset.documents.ids) == ["d1", "2"]


def test_beir_round_trip(tmp_path):
    queries = Texts(["q/1", "q 2"], ["ein\nZwei", "鯨"], ["g", ""], ["wiki", ""], ["", "qa"])
    documents = Texts(["a", "b", "c"], ["x", " y ", "x"])
    pairs = Pairs(np.array([0, 1], np.int32), np.array([2, 0], np.int32), np.array([0.1, -3], np.float32))
    write_beir(Dataset("set", queries, documents, {"test": pairs}), tmp_path / "set")
    again = read(tmp_path / "set")
    assert (again.queries, again.documents) == (queries, documents)
    assert all(np.array_equal(a, b) for a, b in zip(astuple(pairs), astuple(again.splits["test"]), strict=True))


def test_as_dataset_takes_all_three(tmp_path):
    write_rows(tmp_path / "a.jsonl")
    dataset = as_dataset(tmp_path / "a.jsonl")
    assert as_dataset(dataset) is dataset
    assert triples(as_dataset(ROWS)) == triples(as_dataset(str(tmp_path / "a.jsonl"))) == triples(dataset)


@pytest.mark.parametrize(
    ("source", "hub"),
    [
        ("squad", True),
        ("owner/ms_marco-v2.1", True),
        ("a/b/c", False),
        ("pairs.txt", False),
        ("./squad", False),
        ("~x", False),
        ("/squad", False),
        ("a/b.jsonl.gz", False),
    ],
)
def test_what_reads_as_a_hub_name(source, hub):
    assert is_hub_name(source) is hub


def test_a_missing_extra_names_the_install_command(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"no file or folder here.*pip install 'nearfar\[hub\]'"):
        read("owner/nothing-of-this-name")


def fake_hub(monkeypatch, load_dataset):
    module = type("datasets", (), {"load_dataset": staticmethod(load_dataset)})
    monkeypatch.setitem(__import__("sys").modules, "datasets", module)


def test_a_hub_set_is_read_by_its_splits(monkeypatch):
    rows = [{"question": "a", "answer": "b"}]
    fake_hub(monkeypatch, lambda name: {"train": rows, "validation": [{"question": "c", "answer": "d"}], "extra": rows})
    dataset = read("owner/name")
    assert (triples(dataset), triples(dataset, "dev")) == ([("a", "b", 1)], [("c", "d", 1)])


def test_a_hub_failure_is_one_line(monkeypatch):
    def fail(name):
        raise RuntimeError("offline\nlong story")

    fake_hub(monkeypatch, fail)
    with pytest.raises(BadInput, match=r"^owner/name: expected .* found none \(offline\); [^\n]*$"):
        read("owner/name")


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("banking77", (13_067, 77, {"train": 8988, "dev": 1000, "test": 3079})),
        ("cranfield", (225, 1398, {"test": 1611})),
        ("limit-small", (1000, 46, {"test": 2000})),
        ("nl2bash", (11_307, 10_594, {"train": 9892, "dev": 975, "test": 1722})),
    ],
)
def test_shared_sets_have_their_published_counts(name, counts):
    if not (SHARED / name).exists():
        pytest.skip(f"shared data set {name} is not here")
    dataset = read(SHARED / name)
    splits = {split: len(pairs) for split, pairs in dataset.splits.items()}
    assert (len(dataset.queries), len(dataset.documents), splits) == counts


def test_shared_sentence_pairs_are_read():
    if not (SHARED / "stsb").exists():
        pytest.skip("shared data set stsb is not here")
    dataset = read(SHARED / "stsb")
    assert list(dataset.splits) == ["train", "dev", "test"]
    assert any("above 2.5" in notice for notice in dataset.notices)
    assert check(dataset).leaked_queries.count > 0  # its README says so


LABELLED = [
    {"query": "a", "positive": "b", "source": "wiki", "task": "qa"},
    {"query": "c", "positive": "d", "negative": "e", "source": "faq", "task": None},
    {"query": "f", "positive": "g", "source": 7},
]


def labels(dataset):
    stated = zip(dataset.queries.sources, dataset.queries.tasks, strict=True)
    return dict(zip(dataset.queries.texts, stated, strict=True))


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.tsv.gz", "a.parquet", "records", "beir"])
def test_every_reader_keeps_source_and_task(tmp_path, name):
    names = ("query", "positive", "negative", "source", "task")
    rows = [{name: str(row.get(name) or "") for name in names} for row in LABELLED]
    path = tmp_path / name
    if name == "a.parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif name == "a.jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif name == "beir":
        write_beir(from_records(LABELLED), path)
    elif name != "records":
        mark = "," if ".csv" in name else "\t"
        data = "\n".join(mark.join(cells) for cells in (rows[0], *(row.values() for row in rows))).encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    dataset = from_records(LABELLED) if name == "records" else read(path)
    assert labels(dataset) == {"a": ("wiki", "qa"), "c": ("faq", ""), "f": ("7", "")}
    assert dataset.documents.sources == ()


def test_records_keep_source_and_task():
    dataset = from_records([Record("q", ("a",), source="s", task="t"), Record("r", ("b",))])
    assert labels(dataset) == {"q": ("s", "t"), "r": ("", "")}


def test_the_first_of_several_sources_counts_and_it_is_said():
    rows = [{"query": "a", "positive": p, "source": s} for p, s in (("b", ""), ("c", "x"), ("d", "y"), ("e", "x"))]
    dataset = from_records(rows)
    assert list(dataset.queries.sources) == ["x"]
    assert "1 queries have several sources; the first counts" in dataset.notices


def test_labels_follow_their_queries_when_rows_are_dropped():
    rows = [{"query": "same", "positive": "same", "source": "x"}, {"query": "a", "positive": "b", "source": "y"}]
    dataset = from_records(rows)
    assert list(zip(dataset.queries.texts, dataset.queries.sources, strict=True)) == [("a", "y")]


def test_a_label_that_is_no_name_is_refused(tmp_path):
    write_beir(from_records(LABELLED), tmp_path)
    queries = tmp_path / "queries.jsonl"
    queries.write_text(queries.read_text().replace('"wiki"', '["wiki"]'))
    with pytest.raises(BadInput, match=r"queries.jsonl:1: expected a name in 'source'"):
        read(tmp_path)
