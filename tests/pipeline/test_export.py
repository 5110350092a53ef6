"""A run's codes, exported by the verb and read by their new owner."""

import json

import faiss
import numpy as np
import pytest

from command_line import nearfar, options, write_pairs


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small run whose documents are enough for 256 centroids, with codes of two sizes."""
    folder = tmp_path_factory.mktemp("export")
    pairs = write_pairs(folder / "pairs.jsonl", 400)
    path = folder / "run"
    fitted = nearfar("fit", "--data", pairs, "--base", "static", "--out", path, *options(train__epochs=1))
    assert fitted.code == 0, fitted.err
    for codec, size in (("opq", 8), ("binary", 4), ("rq", 2), ("pq4", 16)):
        done = nearfar("compress", path, "--codec", codec, "--bytes", size)
        assert done.code == 0, done.err
    return path


@pytest.mark.parametrize(
    ("to", "size"), [("faiss", 8), ("faiss", 4), ("faiss", 2), ("faiss", 16), ("lance", 8), ("pgvector", 4)]
)
def test_the_verb_writes_what_it_says(run, tmp_path, to, size):
    if to == "lance":
        pytest.importorskip("lance", reason="pylance is not installed")
    done = nearfar("export", run, "--to", to, "--bytes", size, "--out", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    meta = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))["meta"]
    assert (found["to"], found["size_bytes"], found["documents"]) == (to, size, meta["documents"])
    assert found["fingerprint"] == meta["fingerprint"]
    assert found["worst"] < 1e-4
    assert found["overlap"] > 0.99
    assert found["queries"] > 10


def test_faiss_and_nearfar_find_the_same_documents(run, tmp_path):
    from nearfar.search.index import Index

    nearfar("export", run, "--to", "faiss", "--bytes", 8, "--out", tmp_path / "out")
    ours = Index.open(run, size_bytes=8).search("restart the router", 10)
    index = faiss.read_index(str(tmp_path / "out" / "index.faiss"))
    faiss.extract_index_ivf(index).nprobe = 1000
    nearfar("encode", run, _lines(tmp_path, "restart the router"), "--role", "query", "--out", tmp_path / "q.npy")
    scores, rows = index.search(np.load(tmp_path / "q.npy"), 10)
    ids = json.loads((tmp_path / "out" / "ids.json").read_text(encoding="utf-8"))
    np.testing.assert_allclose(scores[0], [hit.score for hit in ours], atol=1e-4)
    assert ids[rows[0, 0]] == ours[0].id


def _lines(folder, text):
    (folder / "texts.txt").write_text(text + "\n", encoding="utf-8")
    return folder / "texts.txt"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--to", "fais", "--bytes", 8), "--to: expected a store, found 'fais'; did you mean 'faiss'?"),
        (
            ("--to", "faiss", "--bytes", 32),
            "expected codes of 32 bytes, found those of 2, 4, 8, 16; make them: nearfar comp",
        ),
        (("--to", "pgvector", "--bytes", 8), "to pgvector: expected binary codes, found opq codes of 8 bytes"),
        (("--to", "lance", "--bytes", 2), "to lance: expected product codes"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(run, tmp_path, arguments, line):
    if "lance" in arguments:
        pytest.importorskip("lance", reason="pylance is not installed")
    done = nearfar("export", run, *arguments, "--out", tmp_path / "out")
    assert done.code == 2
    assert line in done.lines[-1]
    assert list(tmp_path.iterdir()) == []


def test_an_export_is_replaced_only_when_asked_to(run, tmp_path):
    arguments = ("export", run, "--to", "faiss", "--bytes", 8, "--out", tmp_path / "out")
    assert [nearfar(*arguments).code for _ in range(2)] == [0, 2]
    assert nearfar(*arguments, "--overwrite").code == 0


def test_codes_that_are_not_of_their_codebooks_stay_at_home(run, tmp_path, monkeypatch):
    """A codebook that rotted in memory after the codes were scored."""
    from nearfar.compress.product import Product

    true = Product.score
    monkeypatch.setattr(Product, "score", lambda self, queries, codes: true(self, queries, codes ^ (codes == 3)))
    done = nearfar("export", run, "--to", "faiss", "--bytes", 8, "--out", tmp_path / "out")
    assert (done.code, list(tmp_path.iterdir())) == (2, [])
    assert "expected scores within 0.0001 of the largest" in done.lines[-1]
