import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfar.core.errors import BadInput, DimensionMismatch, FingerprintMismatch, NearfarError
from nearfar.encoder.encode import encode
from nearfar.encoder.precision import Policy
from nearfar.encoder.save import save_encoder
from nearfar.index.exact import top_k
from nearfar.index.generation import Documents, open_index, write_index
from nearfar.search.hits import Hit
from nearfar.search.index import Index
from tiny_models import sentences, tiny_static

TEXTS = sentences(30, 9)


@given(st.integers(0, 5), st.integers(1, 30), st.integers(1, 40), st.integers(0, 99))
@settings(max_examples=200, deadline=None)
def test_top_k_is_a_stable_sort_cut_off(queries, documents, k, seed):
    generator = np.random.default_rng(seed)  # small integers: many ties
    asked, given_ = (generator.integers(-1, 2, (n, 2)).astype(np.float32) for n in (queries, documents))
    rows, scores = top_k(asked, given_, k)
    assert rows.shape == scores.shape == (queries, min(k, documents))
    for query, found, values in zip(asked, rows, scores, strict=True):
        products = given_ @ query
        expected = sorted(range(documents), key=lambda d: (-products[d], d))[:k]
        assert found.tolist() == expected
        assert values.tolist() == products[expected].tolist()


def test_blocks_do_not_matter(monkeypatch):
    generator = np.random.default_rng(0)
    queries, documents = (generator.standard_normal((n, 8), np.float32) for n in (40, 100))
    whole = top_k(queries, documents, 7)
    for name, size in (("BLOCK_SCORES", 300), ("BLOCK_ROWS", 5)):  # one after the other: both ways are cut
        monkeypatch.setattr(f"nearfar.index.exact.{name}", size)
        for a, b in zip(whole, top_k(queries, documents, 7), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5)


def test_ties_stay_in_order_across_blocks(monkeypatch):
    monkeypatch.setattr("nearfar.index.exact.BLOCK_ROWS", 4)
    documents = np.array([1, 0, 2, 2, 1, 2, 0, 2, 1, 1, 2], np.float32)[:, None]
    rows, scores = top_k(np.ones((1, 1), np.float32), documents, 7)
    assert rows.tolist() == [[2, 3, 5, 7, 10, 0, 4]]
    assert scores.tolist() == [[2, 2, 2, 2, 2, 1, 1]]


def test_what_is_no_number_comes_last():
    documents = np.array([[1], [np.nan], [3], [2]], np.float32)
    rows, _ = top_k(np.ones((2, 1), np.float32), documents, 3)
    assert rows.tolist() == [[2, 3, 0], [2, 3, 0]]


def test_other_dimensions_are_refused():
    with pytest.raises(DimensionMismatch, match="expected 3-d queries, found 2-d; "):
        top_k(np.zeros((1, 2), np.float32), np.zeros((4, 3), np.float32), 1)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with a model and the index of TEXTS."""
    folder, encoder = tmp_path_factory.mktemp("index") / "run", tiny_static()
    fingerprint = save_encoder(encoder, folder / "model", card="")
    vectors = encode(encoder, TEXTS, "document", Policy())
    ids = [f"d{i}" for i in range(len(TEXTS))]
    write_index(folder / "index", Documents(ids, TEXTS, vectors), fingerprint=fingerprint, similarity="cosine")
    return folder


@pytest.fixture
def copy(run, tmp_path):
    return shutil.copytree(run, tmp_path / "run")


def refusal(do, kind=BadInput):
    with pytest.raises(kind) as caught:
        do()
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_a_search_is_exact(run):
    index = Index.open(run)
    hits = index.search(TEXTS[4], k=5)
    assert len(index) == len(TEXTS)
    assert hits[0] == Hit("d4", pytest.approx(1, abs=1e-5), TEXTS[4])
    encoder = tiny_static()
    scores = encode(encoder, TEXTS, "document", Policy()) @ encode(encoder, [TEXTS[4]], "query", Policy())[0]
    assert [hit.id for hit in hits] == [f"d{i}" for i in np.argsort(-scores, kind="stable")[:5]]
    many = index.search_many([TEXTS[1], TEXTS[4]], k=5)
    assert [hit.id for hit in many[1]] == [hit.id for hit in hits]
    assert [hit.score for hit in many[1]] == pytest.approx([hit.score for hit in hits], abs=1e-6)


def test_more_than_there_are(run):
    assert len(Index.open(run).search("stone", k=1000)) == len(TEXTS)


@pytest.mark.parametrize("part", ["", "index"])
@pytest.mark.parametrize("named", [True, False])
def test_a_run_or_its_index_opens_with_its_model(run, part, named):
    index = Index.open(str(run / part), run / "model" if named else None)
    assert index.search("stone river", k=1)[0].id.startswith("d")


def test_an_index_alone_needs_a_model(run, tmp_path):
    shutil.copytree(run / "index", tmp_path / "alone")
    assert "found no model; name the model" in refusal(lambda: Index.open(tmp_path / "alone"))
    assert len(Index.open(tmp_path / "alone", tiny_static()).search("stone", k=2)) == 2


def test_another_model_is_refused(run):
    message = refusal(lambda: Index.open(run, tiny_static(seed=1)).search("stone"), FingerprintMismatch)
    assert "expected queries of model" in message
    assert tiny_static(seed=1).fingerprint() in message
    assert tiny_static().fingerprint() in message
    assert NearfarError.exit_code == 2


def test_changed_prompts_make_another_model(run):
    encoder = tiny_static()
    encoder.model.prompts = {"query": "query: "}
    refusal(lambda: Index.open(run, encoder).search("stone"), FingerprintMismatch)


@pytest.mark.parametrize("name", ["data/*.lance", "_versions/*.manifest", "_transactions/*.txn", "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_index_is_refused(copy, name, damage):
    path = next((copy / "index").rglob(name))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes({"flip": content, "cut": content[: len(content) // 2], "remove": b""}[damage])
    if damage == "remove":
        path.unlink()
    assert str(copy / "index") in refusal(lambda: Index.open(copy))


@pytest.mark.parametrize("part", ["model", "nothing", ""])
def test_what_is_no_index_is_refused(copy, part):
    shutil.rmtree(copy / "index")
    refusal(lambda: Index.open(copy / part, copy / "model"))


def test_vectors_that_are_no_numbers_are_not_written(tmp_path):
    vectors = np.ones((3, 2), np.float32)
    vectors[1, 1] = np.nan
    documents = Documents(["a", "b", "c"], ["x", "y", "z"], vectors)
    message = refusal(lambda: write_index(tmp_path / "index", documents, fingerprint="f", similarity="cosine"))
    assert message.startswith("document 'b': expected a finite vector")
    assert not list(tmp_path.iterdir())


def test_texts_survive_to_the_letter(tmp_path):
    texts = ["line\nbreak\r\n", "\u2028 and \x85", "naïve 日本 😀", '"quotes" \\', "\t"]
    documents = Documents([str(i) for i in range(5)], texts, np.eye(5, dtype=np.float32))
    write_index(tmp_path / "index", documents, fingerprint="f", similarity="dot")
    opened = open_index(tmp_path / "index")
    assert list(opened.texts) == texts
    assert (opened.fingerprint, opened.similarity) == ("f", "dot")
    np.testing.assert_array_equal(opened.vectors, documents.vectors)


READING = """
import json, sys
import nearfar
from nearfar.search.index import Index
index = nearfar.Index.open(sys.argv[1])
heavy = [name for name in ("torch", "transformers", "sentence_transformers") if name in sys.modules]
print(json.dumps([len(index), heavy]))
"""


def test_reading_an_index_imports_no_torch(run):
    done = subprocess.run([sys.executable, "-c", READING, str(run)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [len(TEXTS), []]
