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
    with pytest.raises(BadInput, match="whole documents, for an index of passages"):
        update(made, shorter, tiny_static())


def test_another_model_gets_the_same_passages(made, tmp_path):
    build(str(made), tiny_static(seed=1), tmp_path / "other")
    one, other = open_index(made), open_index(tmp_path / "other")
    assert (one.ids, one.texts, one.documents) == (other.ids, other.texts, other.documents)
    assert one.fingerprint != other.fingerprint
