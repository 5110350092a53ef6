"""The verbs about indexes: each does what it says; what a user can get wrong is one line, and changes nothing."""

import fcntl
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet
import pytest

from command_line import MAIN, assert_refused, nearfar, tree
from nearfar.core.artifact import writing
from nearfar.encoder.save import save_encoder
from nearfar.index.generation import open_index
from tiny_models import sentences, tiny_static

TEXTS = sentences(30)
DOCUMENTS = [{"_id": f"d{n}", "text": text, "year": 2000 + n % 5} for n, text in enumerate(TEXTS)]
BAD_LINES = {
    "empty": "",
    "blank": " \n\n",
    "cut": '{"_id": "a", ',
    "array": "[1]",
    "no id": '{"text": "x"}',
    "list id": '{"_id": [1], "text": "x"}',
    "number id": '{"_id": 1.5, "text": "x"}',
    "empty id": '{"_id": "", "text": "x"}',
    "twice": '{"_id": "a", "text": "x"}\n{"_id": "b", "text": "y"}\n{"_id": "a", "text": "z"}',
    "long id": json.dumps({"_id": "x" * 10_000, "text": "x"}),
    "NUL id": '{"_id": "a\\u0000", "text": "x"}',
    "half id": '{"_id": "\\ud800", "text": "x"}',
    "NUL": '{"_id": "a", "text": "a\\u0000b"}',
    "half": '{"_id": "a", "text": "\\udc00"}',
    "half name": '{"_id": "a", "text": "x", "\\udc00": 1}',
    "half value": '{"_id": "a", "text": "x", "m": "\\udc00"}',
    "no text": '{"_id": "a"}',
    "empty text": '{"_id": "a", "text": " "}',
    "list text": '{"_id": "a", "text": ["x"]}',
    "list title": '{"_id": "a", "title": ["t"], "text": "x"}',
    "mixed": '{"_id": "a", "text": "x", "m": 1}\n{"_id": "b", "text": "y", "m": "one"}',
    "mixed truth": '{"_id": "a", "text": "x", "m": 1}\n{"_id": "b", "text": "y", "m": true}',
    "mixed list": '{"_id": "a", "text": "x", "m": [1, "a"]}',
    "dot": '{"_id": "a", "text": "x", "a.b": 1}',
    "grave": '{"_id": "a", "text": "x", "a`b": 1}',
    "nameless": '{"_id": "a", "text": "x", "": 1}',
    "own": '{"_id": "a", "text": "x", "_rowid": 1}',
    "reserved": '{"_id": "a", "text": "x", "vector": [1]}',
    "nested": '{"_id": "a", "text": "x", "m": {"a": 1}}',
    "nested list": '{"_id": "a", "text": "x", "m": [[1]]}',
    "metadata": '{"_id": "a", "text": "x", "metadata": [1]}',
    "huge": '{"_id": "a", "text": "x", "m": 99999999999999999999}',
    "digits": '{"_id": "a", "text": "x", "m": ' + "9" * 5000 + "}",
    "NaN": '{"_id": "a", "text": "x", "m": NaN}',
    "infinite": '{"_id": "a", "text": "x", "m": [-Infinity]}',
    "no date": '{"_id": "a", "text": "x", "m": "2021-02-30"}',
    "no time": '{"_id": "a", "text": "x", "m": "2021-02-01T25:00"}',
    "soon": '{"_id": "n", "text": "x", "year": "soon"}',
    "unknown": '{"_id": "d1", "year": 1}\n{"_id": "zz", "year": 1}',
}
BAD_FILES = {
    "latin.jsonl": b'{"_id": "a", "text": "caf\xe9"}\n',
    "nul.jsonl": b'{"_id": "a", "text": "\0"}\n',
    "cut.jsonl.gz": gzip.compress(b"".join(b'{"_id": "%d", "text": "stone"}\n' % n for n in range(999)))[:-20],
    "ragged.csv": b"id,text,m\na,stone,1\nb,river\n",
    "twice.csv": b"id,text,m,m\na,stone,1,2\n",
    "key.csv": b"key,text\na,stone\n",
    "header.csv": b"id,text\n",
    "empty.csv": b"",
    "broken.parquet": b"PAR1",
    "data.xlsx": b"x",
}
BUILD = ["index", "build", "--model", "model", "--out", "new"]
ON_GOOD = ["index", "build", "--model", "model", "--data", "good.jsonl"]
ADD = ["index", "add", "idx", "--data"]
DELETE = ["index", "delete", "idx"]
SEARCH = ["search", "idx", "stone"]
EVAL = ["eval", "idx", "--data", "judged"]


def judged(folder, name, count, prefix="d"):
    """A set whose queries are documents' own texts, and from the twentieth on words of none."""
    asked = [text if n < 20 else f"zzzz {n}" for n, text in enumerate(TEXTS)]
    (folder / name / "qrels").mkdir(parents=True)
    for file, letter, texts in (("corpus", prefix, TEXTS), ("queries", "q", asked)):
        lines = (json.dumps({"_id": f"{letter}{n}", "text": text}) + "\n" for n, text in enumerate(texts[:count]))
        (folder / name / f"{file}.jsonl").write_text("".join(lines))
    for split in ("dev", "test"):
        lines = "".join(f"q{n}\t{prefix}{n}\t1\n" for n in range(count))
        (folder / name / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + lines)


def make_world(folder):
    save_encoder(tiny_static(), folder / "model", card="")
    save_encoder(tiny_static(seed=1), folder / "other", card="")
    (folder / "good.jsonl").write_text("".join(json.dumps(one) + "\n" for one in DOCUMENTS))
    for name, text in BAD_LINES.items():
        (folder / f"{name}.jsonl").write_text(text + "\n" if text else "")
    for name, content in BAD_FILES.items():
        (folder / name).write_bytes(content)
    pa.parquet.write_table(pa.table({"id": ["a"], "text": ["x"], "m": [b"x"]}), folder / "bytes.parquet")
    judged(folder, "judged", 30)
    judged(folder, "few", 5)
    judged(folder, "others", 30, "x")
    with writing(folder / "old", "index", {"fingerprint": "f", "documents": 3}) as old:
        (old / "documents.jsonl").write_text("{}")
    (folder / "nothing").mkdir()
    (folder / "full").mkdir()
    (folder / "full" / "keep.txt").write_text("mine")
    (folder / "a file").write_text("x")
    for name in ("idx", "alone/idx", "void"):
        assert nearfar(*ON_GOOD, "--out", folder / name).code == 0
    assert nearfar("index", "delete", folder / "void", *(one["_id"] for one in DOCUMENTS)).code == 0
    assert nearfar("index", "gc", folder / "idx").code == 0  # makes the lock


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_world(folder)
    return folder, tree(folder)


@pytest.fixture
def copy(world, tmp_path, monkeypatch):
    shutil.copytree(world[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def of_line(name, *words, verb=BUILD):
    """A source that is bad, and what must be said of it."""
    return (f"{' '.join(verb[:2])} of {name}", [*verb, "--data", f"{name}.jsonl"], list(words))


def of_file(name, *words):
    return (name, [*BUILD, "--data", name], [name, *words])


def other(name, arguments, *words):
    return (name, arguments, list(words))


CASES = [
    of_line("empty", "empty.jsonl: expected documents, found none"),
    of_line("blank", "blank.jsonl: expected documents, found none"),
    of_line("cut", "cut.jsonl:1: expected JSON, found bad JSON"),
    of_line("array", "array.jsonl:1: expected a JSON object, found '[1]'"),
    of_line("no id", "no id.jsonl:1: expected an '_id', found none"),
    of_line("list id", "list id.jsonl:1: expected an '_id', found '[1]'"),
    of_line("number id", ":1: expected an '_id', found '1.5'"),
    of_line("empty id", ":1: expected an '_id', found ''"),
    of_line("twice", "twice.jsonl:3: expected each id once, found 'a' again"),
    of_line("long id", ":1: expected an '_id' of at most 1,000 characters, found one of 10,000"),
    of_line("NUL id", ":1: expected text in '_id', found a NUL"),
    of_line("half id", ":1: expected text in '_id', found a NUL or half a surrogate pair"),
    of_line("NUL", ":1: expected text in 'text', found a NUL"),
    of_line("half", ":1: expected text in 'text', found a NUL or half a surrogate pair"),
    of_line("half name", ":1: expected a name for metadata", r"'\udc00'"),
    of_line("half value", ":1: expected text in 'm', found a NUL or half a surrogate pair"),
    of_line("no text", ":1: expected a text, found none"),
    of_line("empty text", ":1: expected text in 'text', found an empty one"),
    of_line("list text", ":1: expected text in 'text', found \"['x']\""),
    of_line("list title", ":1: expected text in 'title'"),
    of_line("mixed", "document 'b'", "a whole number of 64 bits in 'm', as in the documents before, found \"one\""),
    of_line("mixed truth", "document 'b': expected a whole number", "found true"),
    of_line("mixed list", "document 'a': expected a list, each of it text, in 'm', found [1, \"a\"]"),
    of_line("dot", ":1: expected a name for metadata", "has no '.' or '`'", "found 'a.b'; rename it"),
    of_line("grave", ":1: expected a name for metadata", "found 'a`b'; rename it"),
    of_line("nameless", ":1: expected a name for metadata that is not empty", "found ''"),
    of_line("own", ":1: expected a name for metadata", "begins with no '_', found '_rowid'"),
    of_line("reserved", ":1: expected a name of your own for metadata, found 'vector'"),
    of_line("nested", ":1: expected a text, a number, true, false, a date, or a list of them in 'm'", "flatten it"),
    of_line("nested list", "found '[[1]]'; flatten it"),
    of_line("metadata", ":1: expected an object in 'metadata', found '[1]'"),
    of_line("huge", "document 'a': expected a whole number of 64 bits in 'm', found 99999999999999999999"),
    of_line("digits", "digits.jsonl:1: expected JSON"),
    of_line("NaN", ":1: expected a finite number in 'm', found nan"),
    of_line("infinite", ":1: expected a finite number in 'm', found -inf"),
    of_line("no date", "document 'a': expected a date that exists", "found \"2021-02-30\""),
    of_line("no time", "document 'a': expected a time that exists", "found \"2021-02-01T25:00\""),
    of_file("latin.jsonl", ":1: expected UTF-8 text, found byte 0xe9"),
    of_file("nul.jsonl", ":1: expected text, found a NUL byte"),
    of_file("cut.jsonl.gz", "expected a whole gzip file"),
    of_file("ragged.csv", "Row #3: Expected 3 columns, got 2"),
    of_file("twice.csv", "expected each column once, found 'm' twice"),
    of_file("key.csv", ":2: expected an '_id', found none"),
    of_file("header.csv", "expected documents, found none"),
    of_file("empty.csv", "expected a table, found Empty CSV file"),
    of_file("broken.parquet", "expected a table, found Parquet"),
    of_file("bytes.parquet", ":1: expected a text, a number", "in 'm'"),
    of_file("data.xlsx", "expected .jsonl", "found '.xlsx'"),
    of_file("none.jsonl", "expected documents, found nothing there"),
    of_file("nothing", "expected documents, found nothing there"),
    of_file("model", "found model of format 1"),
    other("neither source", BUILD, "index build: expected --data or --from, found neither"),
    other("both sources", [*BUILD, "--data", "good.jsonl", "--from", "idx"], "--data or --from, found both"),
    other("no model named", ["index", "build", "--data", "good.jsonl"], "Missing option '--model'"),
    other("no such model", ["index", "build", "--model", "./no", "--data", "good.jsonl"], "./no: expected"),
    other("from an empty index", [*BUILD, "--from", "void"], "documents: expected one or more, found none"),
    other("from nothing", [*BUILD, "--from", "none"], "none: expected documents, found nothing there"),
    other("there already", [*ON_GOOD, "--out", "idx"], "idx: expected a new folder, found an index"),
    other("something there", [*ON_GOOD, "--out", "full"], "full: expected a new folder, or an index"),
    other("replace something", [*ON_GOOD, "--out", "full", "--overwrite"], "choose another --out"),
    other("below a file", [*ON_GOOD, "--out", "a file/x"], "expected a place to write to"),
    other("no such codec", [*ON_GOOD, "--out", "new", "--codec", "pqq"], "found 'pqq'; did you mean 'pq'?"),
    other("a codec of bits", [*ON_GOOD, "--out", "new", "--codec", "binary"], "codec: expected one with codebooks"),
    other("no bytes", [*ON_GOOD, "--out", "new", "--bytes", "0"], "'size_bytes': expected greater than or equal to 1"),
    other("a table in memory", [*ON_GOOD, "--out", "new", "--table", "memory://x"], "--table: expected s3://… gs://…"),
    other("a table at no URL", [*ON_GOOD, "--out", "new", "--table", "docs"], "found 'docs'; such as s3://bucket/docs"),
    other("half a storage option", ["index", "check", "idx", "--storage-option", "secret"], "expected key=value"),
    other("storage of a model", ["eval", "model", "--data", "judged", "--storage-option", "a=b"], "name the index"),
    # changes
    other("add to nothing", ["index", "add", "none", "--data", "good.jsonl"], "none: expected a nearfar index folder"),
    other("add to a model", ["index", "add", "model", "--data", "good.jsonl"], "an index of format 1, found model of"),
    other("add by no model", ["index", "add", "alone/idx", "--data", "good.jsonl"], "found none named", "give --model"),
    other("add by another", [*ADD, "good.jsonl", "--model", "other"], "idx: expected its own model"),
    other("update by another", ["index", "update", "idx", "--data", "good.jsonl", "--model", "other"], "its own model"),
    of_line("twice", "twice.jsonl:3: expected each id once", verb=["index", "add", "idx"]),
    of_line("dot", "found 'a.b'; rename it", verb=["index", "add", "idx"]),
    of_line("soon", "document 'n': expected a whole number of 64 bits in 'year'", verb=["index", "add", "idx"]),
    of_line("unknown", ":2: expected a document of the index, found 'zz'", verb=["index", "update", "idx"]),
    of_line("no id", ":1: expected an '_id', found none", verb=["index", "update", "idx"]),
    other("delete nothing", ["index", "delete", "idx"], "index delete: expected ids or a filter, found neither"),
    other("delete twofold", [*DELETE, "d1", "--filter", "year = 1"], "expected ids or a filter, found both"),
    other("delete by no field", [*DELETE, "--filter", "yaer = 1"], "filter, character 1: expected a field", "'year'?"),
    other("count by half a filter", [*DELETE, "--filter", "year =", "--dry-run"], "found the end"),
    other("delete Latin-1", ["index", "delete", "idx", "caf\udce9"], "id: expected UTF-8 text, found other bytes"),
    *(other(f"{verb} nothing", ["index", verb, "none"], "none: expected a nearfar index") for verb in
      ("compact", "gc", "check")),
    other("of an earlier version", ["index", "check", "old"], "old: expected an index of this version of nearfar"),
    other("tune by few", ["index", "tune", "idx", "--data", "few"], "expected 20 judged queries or more, found 5"),
    other("tune by others", ["index", "tune", "idx", "--data", "others"], "found no id that is in it"),
    other("tune by no split", ["index", "tune", "idx", "--data", "judged", "--split", "best"], "a split 'best'"),
    other("tune by another", ["index", "tune", "idx", "--data", "judged", "--model", "other"], "queries of model"),
    # searches
    other("another model", [*SEARCH, "--model", "other"], "index: expected queries of model", "found those of model"),
    other("no words", ["search", "idx", " "], "question: expected words, found none"),
    other("nothing asked", ["search", "idx", ""], "expected words, or --like, or --topic, found none"),
    other("two questions", [*SEARCH, "--like", "x"], "found a question and --like; write one of them"),
    other("an empty likeness", ["search", "idx", "--like", ""], "question: expected words, found none"),
    other("an empty topic", ["search", "idx", "--topic", ", "], "topic: expected a keyword or more, found none"),
    other("unlike alone", [*SEARCH, "--unlike", "x"], "expected no --unlike, found one; add --like"),
    other("a mode of likeness", ["search", "idx", "--like", "x", "--mode", "lexical"], "expected no --mode"),
    other("likeness explained", ["search", "idx", "--like", "x", "--explain"], "expected no --explain"),
    other("k = 0", [*SEARCH, "-k", "0"], "Invalid value for '-k'"),
    other("no such mode", [*SEARCH, "--mode", "lexcal"], "Invalid value for '--mode'", "'lexcal' is not one of"),
    other("weight of 2", [*SEARCH, "--mode", "hybrid", "--weight", "2"], "'weight': expected less than or equal to 1"),
    other("weight of nothing", [*SEARCH, "--weight", "0.5"], "--mode dense: expected no --weight", "add --mode hybrid"),
    other("feedback of words", [*SEARCH, "--mode", "lexical", "--feedback", "3"], "expected no --feedback"),
    other("a lost one, explained", [*SEARCH, "--why-not", "d1", "--explain"], "--why-not: expected no --explain"),
    other("a lost one, Latin-1", [*SEARCH, "--why-not", "caf\udce9"], "id: expected UTF-8 text"),
    other("no such field", [*SEARCH, "--filter", "yaer = 1"], "filter, character 1: expected a field", "'year'?"),
    other("half a filter", [*SEARCH, "--filter", "year ="], "filter, character 7: expected a value, found the end"),
    other("abstain untaught", [*SEARCH, "--abstain"], "found none; learn it: nearfar index tune"),
    other("abstain from a topic", ["search", "idx", "--topic", "x", "--abstain"], "expected no --abstain"),
    # measures
    other("others' ids", ["eval", "idx", "--data", "others"], "others: expected documents of the index, found no id"),
    other("eval: another model", [*EVAL, "--model", "other"], "index: expected queries of model"),
    other("eval: no such mode", [*EVAL, "--mode", "hybird"], "Invalid value for '--mode'"),
    other("eval: k = 0", [*EVAL, "--k", "0"], "Invalid value for '--k'"),
    other("eval: k and a metric", [*EVAL, "--k", "3", "--metric", "mrr@3"], "--k: expected no --metric"),
    other("eval: no split", [*EVAL, "--split", "best"], "expected a split 'best', found dev, test"),
    other("eval: a model", ["eval", "model", "--data", "judged", "--mode", "dense"], "found model of format 1"),
    other("eval: sts of an index", [*EVAL, "--task", "sts", "--mode", "dense"], "--task sts: expected no --mode"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_one_line_exit_code_2_and_nothing_changed(world, monkeypatch, arguments, words):
    folder, before = world
    monkeypatch.chdir(folder)
    done = nearfar(*arguments)
    after = tree(folder)
    for name in after.keys() - before.keys():  # for the other cases, should this one fail
        (folder / name).unlink() if (folder / name).is_file() else shutil.rmtree(folder / name, ignore_errors=True)
    assert after == before
    assert_refused(done, words)


def test_the_table_is_large_enough():
    assert len(CASES) >= 100
    assert len({name for name, *_ in CASES}) == len(CASES)


CHANGES = [["add", "--data", "good.jsonl"], ["update", "--data", "good.jsonl"], ["delete", "d1"], ["compact"], ["gc"]]


@pytest.mark.parametrize("verb", CHANGES, ids=lambda verb: verb[0])
def test_an_index_in_use_is_left_alone(world, monkeypatch, verb):
    folder, before = world
    monkeypatch.chdir(folder)
    build = [*ON_GOOD, "--out", "idx", "--overwrite"]
    with (folder / "idx" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for arguments in (["index", verb[0], "idx", *verb[1:]], build):
            assert_refused(nearfar(*arguments), ["idx: expected an index that nobody else is changing"])
        assert nearfar("index", "check", "idx").code == 0
        assert nearfar("search", "idx", "stone").code == 0
    assert tree(folder) == before


def told(*arguments):
    """What a verb says as JSON, and in words."""
    done = nearfar(*arguments, "--json")
    assert done.code == 0, done
    return json.loads(done.out)


def ids(path):
    return set(open_index(path).ids)


def test_every_verb_does_what_it_says(copy):
    (copy / "new.jsonl").write_text('{"_id": "n1", "text": "stone", "tags": ["a"]}\n{"_id": "d1", "text": "river"}\n')
    assert told("index", "add", "idx", "--data", "new.jsonl") | {"path": ""} == {
        "path": "", "documents": 31, "added": 1, "replaced": 1, "deleted": 0, "bytes_freed": 0}  # fmt: skip
    (copy / "change.jsonl").write_text('{"_id": "n1", "year": 1}\n')
    assert told("index", "update", "idx", "--data", "change.jsonl")["replaced"] == 1
    assert told("index", "delete", "idx", "d2", "d3", "d3", "none")["deleted"] == 2
    assert ids(copy / "idx") == {one["_id"] for one in DOCUMENTS} - {"d2", "d3"} | {"n1"}
    assert told("index", "compact", "idx")["documents"] == 29
    checked = told("index", "check", "idx")
    assert (checked["documents"], checked["dimension"]) == (29, 32)
    assert told("index", "gc", "idx")["bytes_freed"] >= checked["bytes_to_free"] > 0
    assert told("index", "check", "idx")["bytes_to_free"] == 0
    hits = told("search", "idx", "stone", "-k", "1", "--filter", 'tags has "a"')["hits"]
    assert [(hit["id"], hit["metadata"]) for hit in hits] == [("n1", {"year": 1, "tags": ["a"]})]
    assert told(*BUILD[:3], "other", "--from", "idx", "--out", "again")["added"] == 29
    assert ids(copy / "again") == ids(copy / "idx")


def test_every_verb_says_so_in_words(copy):
    lines = {
        (*ON_GOOD, "--out", "new"): "30 documents in new; search them: nearfar search new --model model",
        ("index", "add", "idx", "--data", "good.jsonl"): "0 documents added, 30 replaced; 30 documents in idx",
        ("index", "update", "idx", "--data", "good.jsonl"): "30 documents changed; 30 documents in idx",
        ("index", "delete", "idx", "d2"): "1 documents deleted; 29 documents in idx",
        ("index", "delete", "idx", "d2", "d3", "--dry-run"): "1 documents would be deleted; 29 documents in idx",
        ("index", "compact", "idx"): "compacted; 29 documents in idx",
        (
            "index",
            "tune",
            "idx",
            "--data",
            "judged",
        ): "30 queries: vectors weigh ",
        ("search", "idx", "stone", "--filter", "year = 1"): "nothing found",
        ("search", "void", "stone", "--filter", "year > 1"): "nothing found",
        ("search", "idx", "stone", "--why-not", "none"): "not indexed: the index has no document 'none'",
    }
    for arguments, line in lines.items():
        done = nearfar(*arguments)
        assert (done.code, done.out.startswith(line)) == (0, True), done
    assert nearfar("index", "delete", "idx", "none", "none").lines == ["1 of 1 ids were not in the index"]


def test_every_verb_works_on_a_table_at_a_url(copy):
    at = ["--table", f"file://{copy}/store", "--storage-option", "aws_secret_access_key=sesame"]
    option = at[2:]
    assert told(*ON_GOOD, "--out", "far", *at)["documents"] == 30
    (copy / "new.jsonl").write_text('{"_id": "n1", "text": "stone"}\n{"_id": "d1", "text": "river"}\n')
    (copy / "change.jsonl").write_text('{"_id": "n1", "year": 1}\n')
    counted = {"documents": 31, "added": 1, "replaced": 1}
    assert told("index", "add", "far", "--data", "new.jsonl", *option).items() >= counted.items()
    assert told("index", "update", "far", "--data", "change.jsonl", *option)["replaced"] == 1
    year = ["--filter", "year = 2003 or year = 1"]
    assert (
        told("index", "delete", "far", *year, "--dry-run", *option).items() >= {"deleted": 7, "documents": 31}.items()
    )
    assert told("index", "delete", "far", *year, *option).items() >= {"deleted": 7, "documents": 24}.items()
    assert told("index", "compact", "far", *option)["documents"] == 24
    checked = told("index", "check", "far", *option)
    assert checked["table"].startswith(f"file://{copy}/store/documents-")
    assert told("index", "gc", "far", *option)["bytes_freed"] >= checked["bytes_to_free"] > 0
    assert told("index", "check", "far", *option)["bytes_to_free"] == 0
    assert told("search", "far", TEXTS[5], "-k", "1", "--mode", "hybrid", *option)["hits"][0]["id"] == "d5"
    assert told("eval", "far", "--data", "judged", "--mode", "lexical", *option)["queries"] == 30
    assert told("index", "tune", "far", "--data", "judged", *option)["queries"] == 30
    assert told(*BUILD[:4], "--from", "far", "--out", "near", *option)["documents"] == 24
    assert ids(copy / "near") == ids(copy / "far")
    assert told(*ON_GOOD, "--out", "far", "--overwrite")["documents"] == 30
    assert not [file for file in (copy / "store").rglob("*") if file.is_file()]
    assert not any(b"sesame" in content for content in tree(copy).values() if content)


def test_an_index_is_replaced_and_nothing_is_left_of_it(copy):
    (copy / "one.jsonl").write_text('{"_id": "n1", "text": "stone"}\n')
    before = {name.name for name in copy.iterdir()}
    arguments = [*BUILD[:4], "--data", "one.jsonl", "--out", "idx", "--overwrite"]
    assert [told(*arguments)["documents"] for _ in range(2)] == [1, 1]
    assert ids(copy / "idx") == {"n1"}
    assert {name.name for name in copy.iterdir()} == before
    assert told("index", "check", "idx")["bytes_to_free"] < 100


def test_a_search_says_all_that_it_knows(copy):
    assert len(told(*SEARCH, "-k", "99")["hits"]) == 30
    hit = told(*SEARCH, "--mode", "hybrid", "--explain")["hits"][0]
    assert hit["explanation"]["matched"].keys() == {"stone"}
    assert 0 < hit["explanation"]["dense_share"] < 1
    assert "of the score), words" in nearfar(*SEARCH, "--mode", "hybrid", "--explain").out
    assert told("search", "idx", "--like", TEXTS[3], "--unlike", TEXTS[4])["hits"][0]["id"] == "d3"
    assert len(told("search", "idx", "--topic", "stone, river")["hits"]) == 5
    assert told("index", "tune", "idx", "--data", "judged")["queries"] == 30
    assert told("search", "idx", TEXTS[5], "--abstain")["hits"][0]["id"] == "d5"
    assert told("search", "idx", "zzzz", "--abstain") == {"query": "zzzz", "answered": False, "hits": []}
    assert nearfar("search", "idx", "zzzz", "--abstain").out.startswith("no good answer")
    for mode in ("dense", "lexical", "hybrid"):
        found = told(*EVAL, "--mode", mode, "--k", "3")
        assert found["metrics"].keys() >= {"ndcg@3", "recall@3", "mrr@3"}
        assert (found["queries"], found["mode"]) == (30, mode)


def test_closed_standard_input_is_told(copy):
    command = ["bash", "-c", '"$@" <&-', "bash", *MAIN, *BUILD, "--data", "-"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2, "nearfar: standard input: expected documents, found it closed; pipe some in")  # fmt: skip
    assert not list(copy.glob(".new*"))


KEEPING = """
from nearfar.pipeline import indexing
indexing.KEPT_SECONDS = 0  # every block is kept at once
from nearfar.cli.main import main
main()
"""


def test_ctrl_c_keeps_what_was_encoded(copy):
    lines = [json.dumps({"_id": str(n), "text": f"stone {n}"}) + "\n" for n in range(9_000)]
    command, piped = [sys.executable, "-c", KEEPING, *BUILD, "--data", "-"], {"text": True, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, stdin=subprocess.PIPE, **piped) as building:
        building.stdin.writelines(lines)
        building.stdin.flush()
        assert "8,192 documents encoded" in building.stderr.readline()
        building.send_signal(signal.SIGINT)
        last = building.stderr.read().strip()
    assert last == "nearfar: interrupted; 8,192 documents are kept: the same command goes on"
    assert building.returncode == 130
    assert not (copy / "new").exists()
    done = subprocess.run(command, input="".join(lines), stdout=subprocess.PIPE, check=True, **piped)
    assert done.stderr.startswith("going on after 8,192 documents\n")
    assert done.stdout.startswith("9,000 documents in new")
    assert not list(copy.glob(".new*"))


LOADED = """
import sys
from nearfar.cli.main import main
try:
    main()
except SystemExit as stop:
    heavy = ("torch", "transformers", "sentence_transformers", "sklearn", "lance", "faiss", "pyarrow")
    print(stop.code or 0, *(name for name in heavy if name in sys.modules), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("arguments", "loaded"),
    [
        (["--help"], "0"),
        (["index", "build", "--help"], "0"),
        (["search", "--help"], "0"),
        (["index", "check", "idx"], "0 lance faiss pyarrow"),
        (["index", "delete", "idx", "d1"], "0 lance faiss pyarrow"),
        (["index", "update", "idx", "--data", "year.jsonl"], "0 lance faiss pyarrow"),
        (["search", "idx", "stone", "--mode", "lexical"], "0 lance faiss pyarrow"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_what_needs_no_model_loads_none(copy, arguments, loaded):
    (copy / "year.jsonl").write_text('{"_id": "d4", "year": 1}\n')
    command = [sys.executable, "-c", LOADED, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == loaded
