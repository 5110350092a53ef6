"""An index of passages: documents in, documents out, each with the passage that earned its place."""

import json

import numpy as np
import pytest

from nearfar.core.errors import BadInput
from nearfar.encoder.encode import encode
from nearfar.encoder.precision import Policy
from nearfar.index.config import IndexConfig
from nearfar.index.generation import open_index
from nearfar.pipeline.indexing import add, build, delete, update
from nearfar.search.config import SearchConfig
from nearfar.search.index import Index
from tiny_models import sentences, tiny_static

LIMIT = 12


def document(number, parts):
    texts = sentences(60)
    chosen = [texts[(7 * number + part) % 60] + "." for part in range(parts)]
    return {"_id": f"doc{number}", "text": "\n\n".join(chosen), "year": 2000 + number}


DOCUMENTS = [document(number, 1 + number % 5) for number in range(20)]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def made(tmp_path):
    source = write(tmp_path / "documents.jsonl", DOCUMENTS)
    done = build(source, tiny_static(), tmp_path / "index", config=IndexConfig(passages=LIMIT))
    assert done.documents == len(DOCUMENTS)
    return tmp_path / "index"


def expected(index, query, how):
    """Documents and scores by a loop over all passages."""
    opened, encoder = open_index(index), tiny_static()
    (vector,) = encode(encoder, [query], "query", Policy())
    scores: dict[str, list[float]] = {}
    for document_, passage in zip(opened.documents, opened.vectors, strict=True):
        scores.setdefault(document_, []).append(float(passage @ vector))
    joined = {key: max(values) if how == "max" else float(np.mean(values)) for key, values in scores.items()}
    return sorted(joined.items(), key=lambda pair: -pair[1])


@pytest.mark.parametrize("how", ["max", "mean"])
@pytest.mark.parametrize("k", [1, 5, 20])
def test_documents_come_once_and_as_a_loop_says(made, how, k):
    index = Index.open(made, tiny_static(), config=SearchConfig(aggregate=how))
    query = sentences(60)[17]
    hits = index.search(query, k)
    wanted = expected(made, query, how)
    assert [hit.id for hit in hits] == list(dict.fromkeys(hit.id for hit in hits))
    np.testing.assert_allclose([hit.score for hit in hits], [score for _, score in wanted[:k]], atol=1e-5)
    assert {hit.id for hit in hits} <= {key for key, score in wanted if score >= wanted[k - 1][1] - 1e-5}


def test_a_hit_says_where_its_passage_lies(made):
    texts = {one["_id"]: one["text"] for one in DOCUMENTS}
    for hit in Index.open(made, tiny_static()).search(sentences(60)[3], 5):
        own = texts[hit.id][hit.passage.start : hit.passage.end]
        assert own.strip()
        assert hit.text.endswith(own)
        assert hit.metadata["year"] == 2000 + int(hit.id[3:])


@pytest.mark.parametrize("mode", ["lexical", "hybrid"])
def test_words_and_filters_work_on_passages(made, mode):
    index = Index.open(made, tiny_static())
    hits = index.search(DOCUMENTS[9]["text"].split(".")[0], 3, mode=mode, filter="year >= 2008 and year < 2012")
    assert hits[0].id == "doc9"
    assert {hit.metadata["year"] for hit in hits} <= {2008, 2009, 2010, 2011}
    with pytest.raises(BadInput, match="expected max, or mean in dense search"):
        Index.open(made, tiny_static(), config=SearchConfig(aggregate="mean")).search("stone", mode=mode)


def test_a_document_is_replaced_and_deleted_with_all_its_passages(made, tmp_path):
    before = open_index(made)
    assert before.count == 20 < len(before)
    shorter = write(tmp_path / "new.jsonl", [document(4, 1) | {"text": "river stone"}, document(30, 3)])
    done = add(made, shorter, tiny_static())
    assert (done.added, done.replaced, done.documents) == (1, 1, 21)
    opened = open_index(made)
    assert opened.documents.count("doc4") == 1
    assert delete(made, ["doc30", "doc3", "nobody"]).deleted == 2
    assert not {"doc30", "doc3"} & set(open_index(made).documents)


def contents(index):
    """Passages of each document, with text, metadata and vector."""
    opened, found = open_index(index), {}
    table = opened.table.dataset.to_table().to_pylist()
    assert [row["id"] for row in table] == list(opened.ids)
    for row in table:
        found.setdefault(row["_document"], []).append(row)
    return found


def test_changed_metadata_leaves_every_bit_of_the_passages(made, tmp_path):
    before = contents(made)
    changes = [{"_id": "doc4", "year": 1990, "lang": "en"}, {"_id": "doc7", "year": None}]
    done = update(made, write(tmp_path / "changes.jsonl", changes))  # no model
    assert (done.replaced, done.documents) == (2, 20)
    after = contents(made)
    assert after.keys() == before.keys()
    for key, rows in after.items():
        new = {"doc4": {"year": 1990, "lang": "en"}, "doc7": {"year": None}}.get(key, {})
        assert rows == [row | {"lang": None} | new for row in before[key]]
    assert Index.open(made, tiny_static()).search("stone", 9, filter="lang = 'en'")[0].id == "doc4"


def test_a_changed_text_is_cut_again_as_if_the_document_were_added(made, tmp_path):
    changes = [{"_id": "doc4", "text": document(9, 2)["text"]}, {"_id": "doc5", "text": document(3, 6)["text"],
               "year": 1990}, {"_id": "doc6", "year": 1991}]  # fmt: skip
    source = write(tmp_path / "changes.jsonl", changes)
    done = update(made, source, tiny_static())
    assert (done.replaced, done.documents) == (3, 20)
    whole = {one["_id"]: one for one in DOCUMENTS}
    for change in changes:
        whole[change["_id"]] = whole[change["_id"]] | change
    written = write(tmp_path / "whole.jsonl", whole.values())
    build(written, tiny_static(), tmp_path / "again", config=IndexConfig(passages=LIMIT))
    assert contents(made) == contents(tmp_path / "again")
    assert open_index(made).count == 20


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"_id": "nobody", "year": 1}, "jsonl:1: expected a document of the index, found 'nobody'; add it"),
        ({"_id": "doc4#0", "year": 1}, "jsonl:1: expected a document of the index, found 'doc4#0'; add it"),
        ({"_id": "doc4", "title": "New"}, "jsonl:1: expected a text with the new title, .*; give both"),
    ],
)
def test_what_cannot_be_changed_is_told_and_nothing_is(made, tmp_path, change, said):
    before = contents(made)
    with pytest.raises(BadInput, match=said):
        update(made, write(tmp_path / "change.jsonl", [change]), tiny_static())
    assert contents(made) == before


def test_a_title_is_changed_with_its_text(made, tmp_path):
    change = {"_id": "doc4", "title": "Rivers", "text": document(9, 2)["text"]}
    update(made, write(tmp_path / "change.jsonl", [change]), tiny_static())
    assert contents(made)["doc4"][0]["_start"] == 0
    assert contents(made)["doc4"][0]["text"].startswith("Rivers ")
    update(made, write(tmp_path / "same.jsonl", [{"_id": "doc4", "title": "Rivers", "year": 5}]))
    assert {row["year"] for row in contents(made)["doc4"]} == {5}


def test_documents_are_deleted_by_a_filter_and_counted_before(made):
    before = contents(made)
    wanted = {one["_id"] for one in DOCUMENTS if one["year"] < 2008}
    counted = delete(made, where="year < 2008", dry_run=True)
    assert (counted.deleted, counted.documents) == (len(wanted), 20)
    assert contents(made) == before
    done = delete(made, where="year < 2008")
    assert (done.deleted, done.documents) == (len(wanted), 20 - len(wanted))
    assert contents(made) == {key: rows for key, rows in before.items() if key not in wanted}
    assert delete(made, where="year < 2008").deleted == 0
    word = before["doc19"][-1]["text"].split()[-1].strip(".")
    holding = {key for key, rows in contents(made).items() if any(word in row["text"].lower() for row in rows)}
    assert delete(made, where=f"text contains '{word}'").deleted == len(holding) > 0
    assert not holding & set(open_index(made).documents)


def test_another_model_gets_the_same_passages(made, tmp_path):
    build(str(made), tiny_static(seed=1), tmp_path / "other")
    one, other = open_index(made), open_index(tmp_path / "other")
    assert (one.ids, one.texts, one.documents) == (other.ids, other.texts, other.documents)
    assert one.fingerprint != other.fingerprint
    more = write(tmp_path / "more.jsonl", [document(30, 3)])
    assert add(tmp_path / "other", more, tiny_static(seed=1)).documents == 21
    assert open_index(tmp_path / "other").documents.count("doc30") > 1
