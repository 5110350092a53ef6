"""Each thing that can be wrong with data gives one line that says where, what and what to do."""

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nearfar.core.errors import BadInput
from nearfar.data.config import DataConfig
from nearfar.data.read import from_records, load

GOOD = '{"query": "a", "positive": "b"}\n'
BEIR = {
    "corpus.jsonl": '{"_id": "d1", "text": "x"}\n{"_id": "d2", "text": "y"}\n',
    "queries.jsonl": '{"_id": "q1", "text": "a"}\n',
    "qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1\td1\t1\n",
}


def json_row(row):
    return {"a.jsonl": GOOD + row + "\n"}


def beir(**changes):
    names = {"corpus": "corpus.jsonl", "queries": "queries.jsonl", "qrels": "qrels/test.tsv"}
    files = BEIR | {names[part]: text for part, text in changes.items()}
    return {name: text for name, text in files.items() if text is not None}


# (name, files, source below the folder, place in the message, word the message must hold)
CASES = [
    ("missing file", {}, "a.jsonl", "a.jsonl", "none"),
    ("missing folder", {}, "x/y/z", "x/y/z", "none"),
    ("missing file of unknown kind", {}, "a.txt", "a.txt", "none"),
    ("unknown suffix", {"a.xlsx": "x"}, "a.xlsx", "a.xlsx", "'.xlsx'"),
    ("no suffix", {"pairs": GOOD}, "pairs", "pairs", "''"),
    ("empty file", {"a.jsonl": ""}, "a.jsonl", "a.jsonl", "an empty file"),
    ("blank file", {"a.jsonl": "\n \n"}, "a.jsonl", "a.jsonl", "expected rows, found none"),
    ("empty csv", {"a.csv": ""}, "a.csv", "a.csv", "an empty file"),
    ("empty tsv", {"a.tsv": ""}, "a.tsv", "a.tsv", "an empty file"),
    ("only a header", {"a.csv": "query,positive\n"}, "a.csv", "a.csv", "expected rows"),
    ("bad JSON", json_row('{"query": "a",'), "a.jsonl", "a.jsonl:2", "bad JSON"),
    ("a JSON array", json_row('["a", "b"]'), "a.jsonl", "a.jsonl:2", "a JSON object"),
    ("a pretty-printed array", {"a.json": '[\n{"query": "a"}\n]'}, "a.json", "a.json:1", "bad JSON"),
    ("a JSON string", json_row('"a"'), "a.jsonl", "a.jsonl:2", "a JSON object"),
    ("endless brackets", json_row("[" * 100_000), "a.jsonl", "a.jsonl:2", "bad JSON"),
    ("a number of 5000 digits", json_row('{"query": ' + "1" * 5000 + "}"), "a.jsonl", "a.jsonl:2", "bad JSON"),
    ("no query column", {"a.jsonl": '{"title": "a", "positive": "b"}\n'}, "a.jsonl", "a.jsonl:1", "{query: NAME}"),
    ("no positive column", {"a.csv": "query,body\na,b\n"}, "a.csv", "a.csv:1", "{positive: NAME}"),
    ("two query columns", {"a.csv": "query,question,answer\na,b,c\n"}, "a.csv", "a.csv:1", "one query column"),
    ("two positive columns", json_row('{"query": "a", "answer": "b", "document": "c"}'), "a.jsonl", "a.jsonl:2", "one"),
    ("no objects keys", json_row("{}"), "a.jsonl", "a.jsonl:2", "no columns"),
    ("a column twice", {"a.csv": "query,positive,positive\na,b,c\n"}, "a.csv", "a.csv:1", "twice"),
    ("wrong separator", {"a.csv": "query;positive\na;b\n"}, "a.csv", "a.csv:1", "query;positive"),
    ("empty query", json_row('{"query": "", "positive": "b"}'), "a.jsonl", "a.jsonl:2", "'query'"),
    ("blank query", {"a.tsv": "query\tpositive\na\tb\n \tc\n"}, "a.tsv", "a.tsv:3", "an empty one"),
    ("empty document", {"a.csv": "query,positive\na,b\nc,\n"}, "a.csv", "a.csv:3", "'positive'"),
    ("blank document in a list", json_row('{"query": "a", "positive": ["b", "\\t"]}'), "a.jsonl", "a.jsonl:2", "empty"),
    ("no document in a list", json_row('{"query": "a", "positive": []}'), "a.jsonl", "a.jsonl:2", "found none"),
    ("null document", json_row('{"query": "a", "positive": null}'), "a.jsonl", "a.jsonl:2", "null"),
    ("number for a query", json_row('{"query": 7, "positive": "b"}'), "a.jsonl", "a.jsonl:2", "int '7'"),
    ("object for a document", json_row('{"query": "a", "positive": {"x": 1}}'), "a.jsonl", "a.jsonl:2", "dict"),
    (
        "number for a negative",
        json_row('{"query": "a", "positive": "b", "negative": [1]}'),
        "a.jsonl",
        ":2",
        "'negative'",
    ),
    ("list for a group", json_row('{"query": "a", "positive": "b", "group": ["g"]}'), "a.jsonl", ":2", "'group'"),
    ("NaN score", json_row('{"query": "a", "positive": "b", "score": NaN}'), "a.jsonl", "a.jsonl:2", "a number"),
    ("score in words", {"a.csv": "query,positive,score\na,b,1\nc,d,high\n"}, "a.csv", "a.csv:3", "'high'"),
    ("null score", json_row('{"query": "a", "positive": "b", "score": null}'), "a.jsonl", "a.jsonl:2", "a number"),
    ("infinite score", {"a.tsv": "query\tpositive\tscore\na\tb\tinf\n"}, "a.tsv", "a.tsv:2", "'inf'"),
    ("no positive score", {"a.csv": "query,positive,score\na,b,0\n"}, "a.csv", "a", "positive pair"),
    ("Latin-1", {"a.jsonl": GOOD.encode() + b'{"query": "caf\xe9"}'}, "a.jsonl", "a.jsonl:2", "0xe9"),
    ("UTF-16", {"a.csv": "query,positive\na,b\n".encode("utf-16")}, "a.csv", "a.csv:1", "UTF-8"),
    ("NUL byte", {"a.tsv": "query\tpositive\na\tb\0\n"}, "a.tsv", "a.tsv:2", "NUL"),
    ("escaped NUL", json_row('{"query": "a\\u0000", "positive": "b"}'), "a.jsonl", "a.jsonl:2", "NUL"),
    ("half a surrogate pair", json_row('{"query": "\\ud800", "positive": "b"}'), "a.jsonl", "a.jsonl:2", "surrogate"),
    ("a line over 10 MB", json_row('{"query": "' + "x" * 10_000_000 + '"}'), "a.jsonl", "a.jsonl:2", "10 MB"),
    ("too few cells", {"a.csv": "query,positive\na,b\nc\n"}, "a.csv", "a.csv:3", "2 cells"),
    ("too many cells", {"a.tsv": "query\tpositive\na\tb\tc\n"}, "a.tsv", "a.tsv:2", "found 3"),
    ("open quote", {"a.csv": 'query,positive\na,"b\nc,d\n'}, "a.csv", "a.csv:2", "broken"),
    ("text after a quote", {"a.csv": 'query,positive\n"a"b,c\n'}, "a.csv", "a.csv:2", "quotes"),
    ("truncated gzip", {"a.jsonl.gz": gzip.compress(GOOD.encode() * 999)[:-12]}, "a.jsonl.gz", "a.jsonl.gz:", "gzip"),
    ("no gzip", {"a.csv.gz": "query,positive\na,b\n"}, "a.csv.gz", "a.csv.gz:1", "gzip"),
    ("damaged gzip", {"a.tsv.gz": gzip.compress(b"q")[:10] + b"\xff" * 20}, "a.tsv.gz", "a.tsv.gz:1", "gzip"),
    ("broken parquet", {"a.parquet": "PAR1 no"}, "a.parquet", "a.parquet", "Parquet"),
    ("empty parquet", {"a.parquet": ""}, "a.parquet", "a.parquet", "Parquet"),
    ("zipped parquet", {"a.parquet.gz": "x"}, "a.parquet.gz", "a.parquet.gz", "'.gz'"),
    ("empty folder", {"d/x/y.jsonl": GOOD}, "d", "d", "nothing readable"),
    ("folder without split names", {"a.jsonl": GOOD, "b.csv": "x"}, "", "", "a.jsonl, b.csv"),
    ("two files for a split", {"train.csv": "x", "train.jsonl": GOOD}, "", "", "train.csv and train.jsonl"),
    ("bad row in a folder", {"train.jsonl": GOOD, "test.jsonl": "{"}, "", "test.jsonl:1", "bad JSON"),
    ("no corpus", beir(corpus=None), "", "", "corpus.jsonl"),
    ("no queries", beir(queries=None), "", "", "queries.jsonl"),
    ("no qrels", beir(qrels=None), "", "qrels", "test.tsv"),
    ("empty corpus", beir(corpus=""), "", "corpus.jsonl", "an empty file"),
    ("empty qrels", beir(qrels=""), "", "test.tsv:1", "an empty file"),
    ("qrels without rows", beir(qrels="query-id\tcorpus-id\tscore\n"), "", "test.tsv", "judgements"),
    ("qrels without header", beir(qrels="q1\td1\t1\n"), "", "test.tsv:1", "header"),
    ("TREC qrels", beir(qrels="q1 0 d1 1\n"), "", "test.tsv:1", "header"),
    ("qrels of two columns", beir(qrels=BEIR["qrels/test.tsv"] + "q1\td2\n"), "", "test.tsv:3", "3 cells"),
    ("score in words in qrels", beir(qrels=BEIR["qrels/test.tsv"] + "q1\td2\tyes\n"), "", "test.tsv:3", "'yes'"),
    ("unknown query", beir(qrels=BEIR["qrels/test.tsv"] + "q9\td2\t1\n"), "", "test.tsv:3", "'q9'"),
    ("unknown document", beir(qrels=BEIR["qrels/test.tsv"] + "q1\td9\t1\n"), "", "test.tsv:3", "'d9'"),
    ("document id twice", beir(corpus=BEIR["corpus.jsonl"] * 2), "", "corpus.jsonl:3", "'d1' again"),
    ("query id twice", beir(queries=BEIR["queries.jsonl"] * 2), "", "queries.jsonl:2", "'q1' again"),
    ("no _id", beir(corpus='{"id": "d1", "text": "x"}'), "", "corpus.jsonl:1", "'_id'"),
    ("no text", beir(queries='{"_id": "q1", "query": "x"}'), "", "queries.jsonl:1", "'text'"),
    ("empty document in BEIR", beir(corpus='{"_id": "d1", "title": "", "text": " "}'), "", "corpus.jsonl:1", "empty"),
    ("number for a title", beir(corpus='{"_id": "d1", "title": 3, "text": "x"}'), "", "corpus.jsonl:1", "'title'"),
]


def put(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def message_of(source, **settings):
    with pytest.raises(BadInput) as caught:
        load(DataConfig(source=str(source), **settings))
    return str(caught.value)


def assert_one_good_line(message, place, word):
    assert "\n" not in message
    assert len(message) < 500
    assert place in message.split(": expected ")[0]
    assert "found " in message
    assert ";" in message.split("found ", 1)[1]
    assert word in message


@pytest.mark.parametrize(("files", "source", "place", "word"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_bad_input_gives_one_line(tmp_path, files, source, place, word):
    put(tmp_path, files)
    assert_one_good_line(message_of(tmp_path / source), place, word)


def test_there_are_enough_cases():
    assert len(CASES) >= 45


@pytest.mark.parametrize(
    ("columns", "word"), [({"query": "title"}, "'title' for query"), ({"score": "mark"}, "change 'columns.score'")]
)
def test_a_mapping_to_no_column(tmp_path, columns, word):
    put(tmp_path, {"a.csv": "query,positive\na,b\n"})
    assert_one_good_line(message_of(tmp_path / "a.csv", columns=columns), "a.csv:1", word)


def test_parquet_columns_and_rows(tmp_path):
    pq.write_table(pa.table({"title": ["a"], "positive": ["b"]}), tmp_path / "a.parquet")
    assert_one_good_line(message_of(tmp_path / "a.parquet"), "a.parquet", "{query: NAME}")
    pq.write_table(pa.table({"query": ["a", ""], "positive": ["b", "c"]}), tmp_path / "b.parquet")
    assert_one_good_line(message_of(tmp_path / "b.parquet"), "b.parquet:2", "an empty one")
    pq.write_table(pa.table({"query": [1], "positive": ["b"]}), tmp_path / "c.parquet")
    assert_one_good_line(message_of(tmp_path / "c.parquet"), "c.parquet:1", "int '1'")


def test_no_source():
    with pytest.raises(BadInput, match=r"^data\.source: expected .*, found none; "):
        load(DataConfig())


def test_permission_denied(tmp_path, monkeypatch):
    put(tmp_path, {"a.jsonl": GOOD})

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert_one_good_line(message_of(tmp_path / "a.jsonl"), "a.jsonl", "Permission denied")
    monkeypatch.setattr(Path, "iterdir", refuse)
    assert_one_good_line(message_of(tmp_path), str(tmp_path), "Permission denied")


def test_a_path_too_long_to_look_up():
    assert_one_good_line(message_of("x" * 5000 + ".csv"), "xxx", "too long")


@pytest.mark.parametrize("item", ["text", ("a",), 7, ("a", ""), {"query": "a"}, ("a", "b", 3), {1: "a"}])
def test_bad_records_name_their_number(item):
    with pytest.raises(BadInput, match=r"^records:2: expected .*, found .*; "):
        from_records([("q", "d"), item])


def test_unknown_column_field():
    with pytest.raises(BadInput, match="expected 'query', 'positive'"):
        DataConfig.parse({"columns": {"qeury": "x"}}, "nearfar.yaml")


def test_bad_rows_are_skipped_counted_and_listed(tmp_path):
    put(tmp_path, {"a.jsonl": GOOD + "{\n" * 12 + '{"query": "c", "positive": "d"}\n' + "7\n"})
    dataset = load(DataConfig(source=str(tmp_path / "a.jsonl"), skip_bad_rows=True))
    assert len(dataset.splits["train"]) == 2
    assert dataset.notices[0] == "skipped 13 bad rows"
    assert len(dataset.notices) == 11
    assert dataset.notices[1].startswith(f"{tmp_path / 'a.jsonl'}:2: expected JSON")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", b'query,positive\na,b\n"x"y,z\nc\n\xff,d\ne,f\n'),
        ("a.tsv", b"query\tpositive\na\tb\n\tz\nc\nd\0\te\ne\tf\n"),
        ("a.jsonl", GOOD.encode() + b'x\n[]\n{"query": 1, "positive": "b"}\n{"query": "c", "positive": "d"}\n'),
        ("a.jsonl", GOOD.encode() + b"x" * 10_000_001 + b'\n[]\n{}\n{"query": "c", "positive": "d"}\n'),
    ],
)
def test_every_format_goes_on_after_bad_rows(tmp_path, name, text):
    put(tmp_path, {name: text})
    dataset = load(DataConfig(source=str(tmp_path / name), skip_bad_rows=True))
    assert len(dataset.splits["train"]) == 2
    assert dataset.notices[0] == "skipped 3 bad rows"


def test_beir_skips_judgements_of_skipped_documents(tmp_path):
    corpus = BEIR["corpus.jsonl"] + '{"_id": "d3", "text": ""}\n'
    put(tmp_path, beir(corpus=corpus, qrels=BEIR["qrels/test.tsv"] + "q1\td3\t1\n"))
    dataset = load(DataConfig(source=str(tmp_path), skip_bad_rows=True))
    assert (len(dataset.documents), len(dataset.splits["test"])) == (2, 1)
    assert dataset.notices[0] == "skipped 2 bad rows"


@pytest.mark.parametrize(
    ("files", "source", "word"),
    [
        ({}, "a.jsonl", "found none"),
        ({"a.csv": "title,positive\na,b\n"}, "a.csv", "{query: NAME}"),
        ({"a.jsonl": '{"title": "a"}\n{"title": "b"}\n'}, "a.jsonl", "a.jsonl:1"),
        (beir(queries="x\n"), "", "queries.jsonl:1"),
    ],
)
def test_what_no_skipping_can_mend_still_stops(tmp_path, files, source, word):
    put(tmp_path, files)
    assert word in message_of(tmp_path / source, skip_bad_rows=True)
