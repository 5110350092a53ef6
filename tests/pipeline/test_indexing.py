"""Documents into an index: streamed, resumed and changed, against one made at once and a plain dictionary."""

import datetime
import gzip
import io
import json
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from nearfar.core.errors import BadInput, FingerprintMismatch, Interrupted
from nearfar.encoder.encode import encode
from nearfar.encoder.precision import Policy
from nearfar.encoder.save import save_encoder
from nearfar.index.canaries import TEXTS, Canaries
from nearfar.index.config import IndexConfig
from nearfar.index.generation import Documents, open_index, write_index
from nearfar.index.table import VECTOR
from nearfar.pipeline import indexing
from tiny_models import sentences, tiny_static

CODES = IndexConfig(codec="pq", size_bytes=4, exact_below=250, documents_per_cell=20)
COUNT = 300  # as many as codes need
TITLED, BARE = sentences(COUNT)[:2]  # texts of the first documents


def documents(count=COUNT):
    """Every third with a title, some without a year."""
    made = []
    for number, text in enumerate(sentences(count)):
        title = {"title": f"title {number}"} if number % 3 == 0 else {}
        year = {"year": 2000 + number} if number % 4 else {}
        made.append({"_id": f"d{number}", **title, "text": text, **year, "day": f"2021-03-{1 + number % 28:02}"})
    return made


def whole(document):
    return f"{document['title']} {document['text']}" if document.get("title") else document["text"]


def row(document):
    """A document as an index has it."""
    metadata = {name: value for name, value in document.items() if name not in {"_id", "text"} and value is not None}
    if "day" in metadata:
        metadata["day"] = datetime.date.fromisoformat(metadata["day"])
    return {"id": document["_id"], "text": whole(document), **metadata}


def rows(path):
    """What an index holds, without missing values and vectors."""
    found = open_index(path).table.dataset.to_table().drop_columns([VECTOR]).to_pylist()
    return [{name: value for name, value in one.items() if value is not None} for one in found]


def write_jsonl(path, made):
    path.write_text("".join(json.dumps(one) + "\n" for one in made))
    return str(path)


def encoded(texts):
    return encode(tiny_static(), texts, "document", Policy())


def by_id(path):
    """Vector of each document."""
    opened = open_index(path)
    return dict(zip(opened.ids, opened.vectors, strict=True))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "model"
    save_encoder(tiny_static(), folder, card="")
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_jsonl(tmp_path_factory.mktemp("source") / "documents.jsonl", documents())


@pytest.fixture(scope="module")
def built(model, source, tmp_path_factory):
    path = tmp_path_factory.mktemp("built") / "index"
    indexing.build(source, model, path)
    return path


@pytest.fixture
def index(built, tmp_path):
    return shutil.copytree(built, tmp_path / "index")


@pytest.fixture
def in_forties(monkeypatch):
    """Forty documents at a time, each forty kept at once."""
    monkeypatch.setattr("nearfar.pipeline.index_rows.BLOCK", 40)
    monkeypatch.setattr("nearfar.pipeline.indexing.BLOCK", 40)
    monkeypatch.setattr("nearfar.pipeline.indexing.KEPT_SECONDS", 0)


@pytest.fixture
def calls(monkeypatch):
    """Texts of each call of the model, which is interrupted at call number `stop`."""
    seen = SimpleNamespace(texts=[], stop=None)

    def counted(encoder, texts, *others):
        seen.texts.append(list(texts))
        if len(seen.texts) == seen.stop:
            raise KeyboardInterrupt
        return encode(encoder, texts, *others)

    monkeypatch.setattr("nearfar.encoder.encode.encode", counted)
    return seen


def same(one, other):
    """Two indexes hold the same, codes and words included."""
    assert rows(one) == rows(other)
    first, second = open_index(one), open_index(other)
    np.testing.assert_allclose(first.vectors, second.vectors, atol=1e-6)
    np.testing.assert_allclose(first.canaries.vectors, second.canaries.vectors, atol=1e-6)
    assert (first.fingerprint, first.similarity, first.config) == (second.fingerprint, second.similarity, second.config)
    assert (first.cells is None) == (second.cells is None)
    if first.cells is not None:
        np.testing.assert_array_equal(first.cells.rows, second.cells.rows)
        np.testing.assert_array_equal(first.cells.codes, second.cells.codes)
    asked = sentences(5)
    for ours, theirs in zip(first.lexicon.bm25.search(asked, 9), second.lexicon.bm25.search(asked, 9), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@pytest.mark.usefixtures("in_forties")
@pytest.mark.parametrize("config", [IndexConfig(), CODES], ids=["exact", "codes"])
def test_a_stream_makes_what_is_made_at_once(model, source, tmp_path, config):
    done = indexing.build(source, model, tmp_path / "index", config=config)
    assert (done.documents, done.added) == (COUNT, COUNT)
    expected = [row(one) for one in documents()]
    metadata = {"title": pa.array([one.get("title") for one in expected]),
                "day": pa.array([one["day"] for one in expected]),
                "year": pa.array([one.get("year") for one in expected])}  # fmt: skip
    ids, texts = ([one[name] for one in expected] for name in ("id", "text"))
    whole_set = Documents(ids, texts, encoded(texts), Canaries(TEXTS, encoded(TEXTS)), metadata)
    write_index(tmp_path / "at once", whole_set, fingerprint=tiny_static().fingerprint(), similarity="cosine",
                config=config)  # fmt: skip
    same(tmp_path / "index", tmp_path / "at once")
    assert rows(tmp_path / "index") == expected
    assert sorted(one.name for one in tmp_path.iterdir()) == ["at once", "index"]


@pytest.mark.usefixtures("in_forties")
@pytest.mark.parametrize("config", [IndexConfig(), CODES], ids=["exact", "codes"])
@pytest.mark.parametrize("stop", [2, 5, 9])
def test_an_interrupted_build_ends_as_one_that_was_not(model, source, tmp_path, calls, config, stop):
    indexing.build(source, model, tmp_path / "straight", config=config)
    calls.texts, calls.stop = [], stop
    kept = min(40 * (stop - 1), COUNT)
    with pytest.raises(Interrupted, match=f"interrupted; {kept} documents are kept: the same command goes on"):
        indexing.build(source, model, tmp_path / "index", config=config)
    assert not (tmp_path / "index").exists()
    calls.texts, calls.stop = [], None
    indexing.build(source, model, tmp_path / "index", config=config)
    assert [text for texts in calls.texts[:-1] for text in texts] == [whole(one) for one in documents()][kept:]
    assert calls.texts[-1] == list(TEXTS)
    same(tmp_path / "index", tmp_path / "straight")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["index", "straight"]


def test_nothing_is_left_of_a_build_that_had_not_begun(model, source, tmp_path, calls):
    calls.stop = 1
    with pytest.raises(KeyboardInterrupt):
        indexing.build(source, model, tmp_path / "index")
    with pytest.raises(BadInput, match="nothing there"):
        indexing.build(str(tmp_path / "none.jsonl"), model, tmp_path / "index")
    assert list(tmp_path.iterdir()) == []


CHANGES = {
    "another text": {"text": "another"},
    "another year": {"year": 1},
    "a new column": {"open": True},
    "another id": {"_id": "x"},
}


@pytest.mark.usefixtures("in_forties")
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_documents_that_changed_meanwhile_are_not_gone_on_with(model, tmp_path, calls, change):
    source = write_jsonl(tmp_path / "documents.jsonl", documents())
    calls.stop = 4
    with pytest.raises(Interrupted):
        indexing.build(source, model, tmp_path / "index")
    calls.stop = None
    made = documents()
    made[49] |= change
    write_jsonl(tmp_path / "documents.jsonl", made)
    with pytest.raises(BadInput, match=r"documents.jsonl:50: expected .*, here 'd49'.*; remove .*/\.index\.building"):
        indexing.build(source, model, tmp_path / "index")
    shutil.rmtree(tmp_path / ".index.building")
    indexing.build(source, model, tmp_path / "index")
    assert rows(tmp_path / "index") == [row(one) for one in made]


@pytest.mark.usefixtures("in_forties")
def test_fewer_documents_than_before_are_not_gone_on_with(model, tmp_path, calls):
    source = write_jsonl(tmp_path / "documents.jsonl", documents())
    calls.stop = 4
    with pytest.raises(Interrupted):
        indexing.build(source, model, tmp_path / "index")
    write_jsonl(tmp_path / "documents.jsonl", documents()[:50])
    with pytest.raises(BadInput, match=r"the end of the documents: expected .*, here 'd50'"):
        indexing.build(source, model, tmp_path / "index")


@pytest.mark.usefixtures("in_forties")
def test_another_plan_begins_again(model, source, built, tmp_path, calls):
    save_encoder(tiny_static(seed=1), tmp_path / "other", card="")
    calls.stop = 4
    with pytest.raises(Interrupted):
        indexing.build(source, tmp_path / "other", tmp_path / "index")
    calls.stop = None
    indexing.build(source, model, tmp_path / "index")
    same(tmp_path / "index", built)


def table():
    """Documents as columns, dates as dates."""
    names = ["_id", "title", "text", "year", "day"]
    columns = {name: [one.get(name) for one in documents()] for name in names}
    return pa.table(columns | {"day": pa.array([datetime.date.fromisoformat(day) for day in columns["day"]])})


def written(kind, folder):
    """The documents in a source of this kind."""
    lines = "".join(json.dumps(one) + "\n" for one in documents())
    path = folder / f"documents.{kind}"
    if kind == "beir":
        (folder / "beir").mkdir()
        (folder / "beir" / "corpus.jsonl").write_text(lines)
        return str(folder / "beir")
    if kind == "jsonl.gz":
        path.write_bytes(gzip.compress(lines.encode()))
    elif kind == "parquet":
        pyarrow.parquet.write_table(table(), path)
    elif kind == "csv":
        pyarrow.csv.write_csv(table(), path)
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # as spreadsheets do
    elif kind == "tsv":
        pyarrow.csv.write_csv(table(), path, pyarrow.csv.WriteOptions(delimiter="\t"))
    elif kind == "metadata.jsonl":  # as some BEIR sets have it
        inner = [{"_id": one.pop("_id"), "text": one.pop("text"), "metadata": one} for one in documents()]
        write_jsonl(path, inner)
    else:
        path.write_text(lines)
    return str(path)


@pytest.mark.parametrize("kind", ["beir", "jsonl", "json", "jsonl.gz", "metadata.jsonl", "csv", "tsv", "parquet"])
def test_every_source_makes_the_same_index(model, built, tmp_path, kind):
    indexing.build(written(kind, tmp_path), model, tmp_path / "index")
    assert rows(tmp_path / "index") == [row(one) for one in documents()]
    np.testing.assert_allclose(open_index(tmp_path / "index").vectors, open_index(built).vectors, atol=1e-6)


def test_standard_input_makes_the_same_index(model, built, tmp_path, monkeypatch):
    lines = "\ufeff" + "".join(json.dumps(one) + "\n\n" for one in documents())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    indexing.build("-", model, tmp_path / "index")
    same(tmp_path / "index", built)


@pytest.mark.parametrize("as_run", [True, False])
def test_another_index_is_encoded_again(model, built, tmp_path, as_run):
    old = shutil.copytree(built, tmp_path / "run" / "index")
    save_encoder(tiny_static(seed=1), tmp_path / "other", card="")
    done = indexing.build(str(old.parent if as_run else old), tmp_path / "other", tmp_path / "new")
    assert done.documents == COUNT
    assert rows(tmp_path / "new") == rows(built)
    texts = [whole(one) for one in documents()]
    expected = encode(tiny_static(seed=1), texts, "document", Policy())
    np.testing.assert_allclose(open_index(tmp_path / "new").vectors, expected, atol=1e-6)
    assert not np.allclose(expected, open_index(built).vectors, atol=0.1)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("config", [IndexConfig(), CODES], ids=["exact", "codes"])
def test_any_changes_leave_what_a_dictionary_holds(model, source, tmp_path, config, seed):
    path, generator = tmp_path / "index", np.random.default_rng(seed)
    indexing.build(source, model, path, config=config)
    expected = {one["_id"]: one for one in documents()}
    for step in range(6):
        fresh = [drawn(generator, f"d{number}", step) for number in generator.choice(450, 40, replace=False)]
        there = [one for one in fresh if one["_id"] in expected]
        given = write_jsonl(tmp_path / "given.jsonl", there if step % 3 == 1 else fresh)
        if step % 3 == 0:
            done = indexing.add(path, given, model)
            assert (done.added, done.replaced) == (len(fresh) - len(there), len(there))
            expected |= {one["_id"]: one for one in fresh}
        elif step % 3 == 1 and there:
            partial = [dict(one) for one in there]
            for one in partial[::2]:
                del one["text"]
            assert indexing.update(path, write_jsonl(tmp_path / "given.jsonl", partial), model).replaced == len(there)
            expected |= {one["_id"]: {**expected[one["_id"]], **one} for one in partial}
        else:
            assert indexing.delete(path, [one["_id"] for one in fresh]).deleted == len(there)
            expected = {key: one for key, one in expected.items() if key not in {one["_id"] for one in there}}
        assert {one["id"]: one for one in rows(path)} == {key: row(one) for key, one in expected.items()}
        found = by_id(path)
        for key, vector in zip(expected, encoded([whole(one) for one in expected.values()]), strict=True):
            np.testing.assert_allclose(found[key], vector, atol=1e-6)


def drawn(generator, key, step):
    """A document with some of its fields."""
    text = sentences(200)[int(generator.integers(200))]
    title = [{"title": f"head {step}"}, {"title": None}, {}][int(generator.integers(3))]
    year = [{"year": int(generator.integers(2000, 2030))}, {"year": None}, {}][int(generator.integers(3))]
    return {"_id": key, "text": f"{text} {step}", **title, **year}


def updated(index, model, change):
    indexing.update(index, write_jsonl(index.parent / "change.jsonl", [change]), model)
    found = next(one for one in rows(index) if one["id"] == change["_id"])
    np.testing.assert_allclose(by_id(index)[change["_id"]], encoded([found["text"]])[0], atol=1e-6)
    return found


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"_id": "d0", "title": "new head"}, f"new head {TITLED}"),
        ({"_id": "d0", "title": None}, TITLED),
        ({"_id": "d0", "text": "new body"}, "title 0 new body"),
        ({"_id": "d0", "text": "new body", "title": "new head"}, "new head new body"),
        ({"_id": "d1", "title": "new head"}, f"new head {BARE}"),
        ({"_id": "d1", "text": "new body"}, "new body"),
        ({"_id": "d1", "year": 5}, BARE),
    ],
)
def test_titles_and_texts_change_apart(index, model, change, text):
    assert updated(index, model, change)["text"] == text


def test_a_change_of_metadata_needs_no_model_and_leaves_every_bit_of_the_vector(index):
    before = by_id(index)
    changes = [{"_id": f"d{number}", "year": number, "seen": number % 2 == 0} for number in range(30)]
    done = indexing.update(index, write_jsonl(index.parent / "change.jsonl", changes))
    assert (done.replaced, done.documents) == (30, COUNT)
    after = by_id(index)
    assert after.keys() == before.keys()
    assert all(after[key].tobytes() == before[key].tobytes() for key in before)
    found = {one["id"]: one for one in rows(index)}
    assert [found[f"d{number}"]["year"] for number in range(30)] == list(range(30))
    assert found["d3"] == row(documents()[3]) | {"year": 3, "seen": False}


def test_columns_come_later_and_have_types(index, model):
    new = [
        {"_id": "n1", "text": "stone", "tags": ["a", "b"], "at": "2021-03-01T12:00+02:00", "price": 2, "none": None},
        {"_id": "n2", "text": "river", "tags": [], "at": "2021-03-01", "price": 2.5, "days": ["2021-03-01"]},
        {"_id": "n3", "text": "house", "tags": None, "open": True},
    ]
    indexing.add(index, write_jsonl(index.parent / "new.jsonl", new), model)
    schema = open_index(index).table.dataset.schema
    types = {name: str(schema.field(name).type) for name in ("tags", "at", "price", "days", "open")}
    assert types == {
        "tags": "list<item: string>",
        "at": "timestamp[us, tz=UTC]",
        "price": "double",
        "days": "list<item: date32[day]>",
        "open": "bool",
    }
    assert "none" not in schema.names
    found = {one["id"]: one for one in rows(index)}
    ten = datetime.datetime(2021, 3, 1, 10, tzinfo=datetime.UTC)
    assert (found["n1"]["tags"], found["n1"]["at"], found["n1"]["price"]) == (["a", "b"], ten, 2.0)
    assert (found["n2"]["tags"], found["n2"]["days"]) == ([], [datetime.date(2021, 3, 1)])
    assert found["n3"] == {"id": "n3", "text": "house", "open": True}
    assert found["d5"] == row(documents()[5])


def test_what_raises_changes_nothing(index, model, tmp_path):
    before, number = rows(index), open_index(index).number
    save_encoder(tiny_static(seed=1), tmp_path / "other", card="")
    good = write_jsonl(tmp_path / "good.jsonl", [{"_id": "d1", "text": "stone"}])
    bad = write_jsonl(
        tmp_path / "bad.jsonl", [{"_id": "n1", "text": "stone"}, {"_id": "n2", "text": "x", "year": "soon"}]
    )
    with pytest.raises(BadInput, match="document 'n2': expected a whole number of 64 bits in 'year'"):
        indexing.add(index, bad, model)
    with pytest.raises(BadInput, match=r"bad.jsonl:1: expected a document of the index, found 'n1'"):
        indexing.update(index, bad, model)
    for change in (indexing.add, indexing.update):
        with pytest.raises(FingerprintMismatch, match="expected its own model"):
            change(index, good, tmp_path / "other")
    with pytest.raises(BadInput, match="found none named"):
        indexing.add(index, good)
    assert (rows(index), open_index(index).number) == (before, number)


def test_compacting_and_collecting_keep_what_is_there(index):
    indexing.delete(index, [f"d{number}" for number in range(0, COUNT, 2)])
    left = rows(index)
    indexing.compact(index)
    assert rows(index) == left
    before = indexing.check(index)
    freed = indexing.gc(index).bytes_freed
    after = indexing.check(index)
    assert freed == before.bytes_on_disk - after.bytes_on_disk > 0
    assert after.bytes_to_free == 0
    assert (after.documents, rows(index)) == (COUNT // 2, left)


def test_codes_are_no_wider_than_the_codec_can_make_them(model, source, tmp_path):
    config = CODES.model_copy(update={"size_bytes": 48})
    indexing.build(source, model, tmp_path / "index", config=config)
    assert open_index(tmp_path / "index").cells.coder.codec.size_bytes == 32  # of vectors of 32 dimensions
    with pytest.raises(BadInput, match="codec: expected a known one, found 'pq_x'"):
        indexing.build(source, model, tmp_path / "none", config=CODES.model_copy(update={"codec": "pq_x"}))
