"""BM25 against the formula in a double loop, and against the reference figures of the shared data sets."""

import gzip
import json
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from nearfar.core.errors import BadInput, FingerprintMismatch
from nearfar.core.fingerprint import digest
from nearfar.text.bm25 import BM25, K1, B
from nearfar.text.words import words

DATA = Path(__file__).parents[2].parent / "shared" / "data"
DOCUMENTS = [
    "Read every line of a file.",
    "def read_lines(path): return open(path).readlines()",
    "Write lines to a file, line by line by line.",
    "",
    "東京都の天気",
    "Sort numbers.",
    "Sort numbers.",
]


def naive(documents, query):
    """Score of every document, as the formula reads."""
    counts = [Counter(words(text)) for text in documents]
    mean = sum(c.total() for c in counts) / len(counts)
    scores = []
    for count in counts:
        score = 0.0
        for term in words(query):
            df = sum(term in c for c in counts)
            idf = math.log(1 + (len(counts) - df + 0.5) / (df + 0.5))
            score += idf * count[term] / (count[term] + K1 * (1 - B + B * count.total() / mean))
        scores.append(score)
    return np.array(scores)


@pytest.mark.parametrize("query", ["read lines of a file", "line line line", "天気 東京", "numbers", "readLines path"])
def test_scores_are_the_formula(query):
    expected = naive(DOCUMENTS, query)
    (rows,), (scores,) = BM25(DOCUMENTS).search([query], len(DOCUMENTS))
    found = np.flatnonzero(expected > 0)
    assert rows[: len(found)].tolist() == sorted(found, key=lambda row: (-np.float32(expected[row]), row))
    np.testing.assert_allclose(scores[: len(found)], expected[rows[: len(found)]], rtol=1e-5)
    assert (rows[len(found) :] == -1).all()
    assert (scores[len(found) :] == 0).all()


def test_random_corpus_in_chunks_is_the_formula(monkeypatch):
    monkeypatch.setattr("nearfar.text.bm25.CHUNK_SCORES", 500)  # several chunks of queries
    rng = np.random.default_rng(0)
    vocabulary = [f"{a}{b}{a}" for a in "bdfgk" for b in "aeiou"]
    texts = [" ".join(rng.choice(vocabulary, rng.integers(1, 12))) for _ in range(130)]
    queries = texts[:20]
    rows, scores = BM25(texts).search(queries, 10)
    for query, got in zip(queries, scores, strict=True):
        np.testing.assert_allclose(got, np.sort(naive(texts, query))[::-1][:10], rtol=1e-5)
    assert rows.dtype == np.int32
    assert scores.dtype == np.float32


def test_scores_of_pairs_are_those_of_the_search(monkeypatch):
    monkeypatch.setattr("nearfar.text.bm25.CHUNK_PAIRS", 3)
    index = BM25(DOCUMENTS)
    queries = ["read lines of a file", "line line line", "天気 東京", "zebra", "numbers"]
    rows, documents = (side.ravel() for side in np.indices((len(queries), len(DOCUMENTS))))
    found = index.scores(queries, rows, documents)
    np.testing.assert_allclose(found, np.concatenate([naive(DOCUMENTS, query) for query in queries]), rtol=1e-5)


def test_equal_scores_come_by_row_whatever_k():
    texts = ["same words here"] * 50
    index = BM25(texts)
    for k in (1, 7, 50):
        assert index.search(["words"], k)[0][0].tolist() == list(range(k))


def test_pads():
    index = BM25(DOCUMENTS)
    rows, scores = index.search(["zebra", "", "the of"], 20)
    assert rows.shape == scores.shape == (3, 20)
    assert (rows == -1).all()
    assert index.search([], 3)[0].shape == (0, 3)


def test_a_corpus_without_a_single_term_finds_nothing():
    assert (BM25(["", "  ", "?!"]).search(["word"], 2)[0] == -1).all()


def test_no_documents_is_an_error():
    with pytest.raises(BadInput, match="expected at least one document"):
        BM25([])


def test_save_and_load(tmp_path):
    index = BM25(DOCUMENTS)
    index.save(tmp_path / "bm25")
    again = BM25.load(tmp_path / "bm25", documents_digest=digest(DOCUMENTS))
    for ours, theirs in zip(index.search(DOCUMENTS, 5), again.search(DOCUMENTS, 5), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (again.digest, len(again)) == (index.digest, len(DOCUMENTS))
    assert {file.suffix for file in (tmp_path / "bm25").iterdir()} == {".json", ".npy"}


def test_a_stranger_is_refused(tmp_path, monkeypatch):
    BM25(DOCUMENTS).save(tmp_path / "bm25")
    with pytest.raises(FingerprintMismatch, match="build the index again"):
        BM25.load(tmp_path / "bm25", documents_digest=digest(DOCUMENTS[:-1]))
    monkeypatch.setattr("nearfar.text.bm25.VERSION", 99)
    with pytest.raises(BadInput, match="expected terms of version 99"):
        BM25.load(tmp_path / "bm25")


def test_damage_is_refused(tmp_path):
    BM25(DOCUMENTS).save(tmp_path / "bm25")
    next((tmp_path / "bm25").glob("data*")).write_bytes(b"x")
    with pytest.raises(BadInput):
        BM25.load(tmp_path / "bm25")


def test_results_do_not_depend_on_the_process():
    code = f"from nearfar.text.bm25 import BM25; print(BM25({DOCUMENTS!r}).search(['file lines sort'], 7))"
    run = [
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={"PYTHONHASHSEED": s}
        )
        for s in "12"
    ]
    assert run[0].stdout == run[1].stdout != ""
    assert run[0].stderr == ""  # no progress bars


def lines(folder, name):
    path = folder / name
    data = path.read_bytes() if path.exists() else gzip.decompress(Path(f"{path}.gz").read_bytes())
    return [json.loads(line) for line in data.decode().splitlines() if line]


def ndcg10(folder):
    """nDCG@10 of BM25 on the test queries, in plain loops."""
    corpus = lines(folder, "corpus.jsonl")
    texts = {row["_id"]: row["text"] for row in lines(folder, "queries.jsonl")}
    judged = {}
    for line in (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, document, gain = line.split("\t")
        judged.setdefault(query, {})[document] = float(gain)
    index = BM25([f"{row['title']} {row['text']}".strip() for row in corpus])
    total = 0.0
    for gains, row in zip(judged.values(), index.search([texts[q] for q in judged], 10)[0], strict=True):
        found = [gains.get(corpus[d]["_id"], 0) if d >= 0 else 0 for d in row]
        ideal = sorted(gains.values(), reverse=True)[:10]
        dcg, best = (sum(g / math.log2(i + 2) for i, g in enumerate(x)) for x in (found, ideal))
        total += dcg / best
    return total / len(judged)


@pytest.mark.parametrize("name", ["banking77", "cranfield", "limit-small", "nl2bash", "medquad"])
def test_not_below_the_reference(name):
    if not (DATA / name).is_dir():
        pytest.skip(f"the shared data sets are not at {DATA}")
    reference = json.loads((DATA / "bm25.json").read_text())[name]["ndcg10"]
    assert ndcg10(DATA / name) > reference - 0.005
