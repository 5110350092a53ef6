"""`nearfar compress` and its codes: found again by search, refused where they are foreign, whole after a stop."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import nearfar as package
from command_line import SMALL, nearfar, tree, write_pairs
from nearfar.compress.learning import ALL
from nearfar.compress.registry import CODECS, fit
from nearfar.core.errors import BadInput, FingerprintMismatch, Interrupted
from nearfar.index.codes import open_codes
from nearfar.index.exact import top_k
from nearfar.index.generation import Documents, open_index, write_index
from nearfar.pipeline.coding import Bench, on_index
from nearfar.pipeline.compress import compress
from nearfar.pipeline.evaluate import evaluate
from nearfar.pipeline.progress import Silent
from nearfar.search.index import Index
from tiny_models import pairs, sentences

PAIRS = 320  # documents, more than the 256 that codebooks need


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of a small token table, 32-d."""
    out = tmp_path_factory.mktemp("compress") / "run"
    package.fit(pairs(PAIRS), base="static", out=out, config=SMALL, reporter=Silent())
    return out


@pytest.fixture
def run(trained, tmp_path):
    """A copy of it, to work in."""
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def samples(monkeypatch):
    """What the learned codec "taught" was fitted on: int8 that asks for queries."""
    seen = []
    kind = CODECS["int8"]

    def taught(sample, size):
        seen.append(sample)
        return kind.fit(sample, size)

    monkeypatch.setitem(CODECS, "taught", replace(kind, fit=taught, learned=True, settings=ALL))
    return seen


def refusal(do, kind=BadInput):
    with pytest.raises(kind) as caught:
        do()
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_the_figures_are_those_of_the_run(run):
    found = compress(run, [16, 8], "pq")
    record = found.record()
    assert [point["bytes"] for point in record["points"]] == [16, 8]
    assert record["full"]["ndcg@10"] == pytest.approx(package.Run.open(run).metrics["model"]["ndcg@10"], abs=1e-9)
    assert record["full"]["bytes"] == 4 * 32
    for point in record["points"]:
        low, high = point["interval"]
        assert point["codec"] == record["codec"] == "pq"
        assert point["retained_ndcg@10"] == pytest.approx(point["ndcg@10"] / record["full"]["ndcg@10"])
        assert low <= point["retained_ndcg@10"] <= high
        assert point["index_bytes"] == point["bytes"] * PAIRS
        assert point["codec_bytes"] >= 256 * 32 * 4  # the centroids
    assert found.points[0].measured.metrics["ndcg@10"] > found.points[1].measured.metrics["ndcg@10"]


@pytest.mark.parametrize(("codec", "size"), [("float16", 64), ("int8", 32), ("binary", 4), ("pq", 8), ("truncate", 8)])
def test_search_by_codes_is_exact_search_over_what_they_decode_to(run, codec, size):
    compress(run, [size], codec)
    index, coded = open_index(run / "index"), open_codes(run / "codes" / str(size), run / "index")
    queries = np.random.default_rng(0).normal(size=(20, 32)).astype(np.float32)
    rows, scores = coded.search(queries, 10, index.fingerprint)
    exact, values = top_k(queries, coded.codec.decode(coded.codes), 10)
    np.testing.assert_allclose(scores, values, atol=1e-4)
    assert (rows == exact).mean() > 0.95  # scores that are equal but for rounding may change places
    answers = Index.open(run, size_bytes=size).search("open close read", k=5)
    vectors = evaluate_query(run, "open close read")
    best = coded.search(vectors, 5, index.fingerprint)[0][0]
    assert [hit.id for hit in answers] == [index.ids[row] for row in best]


def test_the_best_by_codes_are_ranked_again_by_the_full_vectors(run):
    point = compress(run, [4], "binary").record()["points"][0]
    full = compress(run, [4], "binary").full["ndcg@10"]
    assert point["ndcg@10"] < point["rescored_ndcg@10"] <= full
    assert point["retained_rescored_ndcg@10"] == pytest.approx(point["rescored_ndcg@10"] / full)
    question = "open close read"
    exact = Index.open(run).search(question, k=5)
    found = Index.open(run, size_bytes=4, rescore=PAIRS).search(question, k=5)
    assert [(hit.id, pytest.approx(hit.score)) for hit in found] == [(hit.id, hit.score) for hit in exact]
    done = nearfar("search", run, question, "--bytes", "4", "--rescore", PAIRS, "--json")
    assert [hit["id"] for hit in json.loads(done.out)["hits"]] == [hit.id for hit in exact]


def test_every_document_rescored_is_the_full_figure(run, monkeypatch):
    monkeypatch.setattr("nearfar.pipeline.coding.DEPTH", PAIRS)
    found = compress(run, [4], "binary")
    assert found.points[0].measured.metrics["rescored_ndcg@10"] == pytest.approx(found.full["ndcg@10"], abs=1e-9)


@pytest.mark.parametrize(("arguments", "message"), [
    ({"rescore": 100}, "rescore: expected codes that choose the documents, found the full vectors alone"),
    ({"rescore": 0, "size_bytes": 4}, "rescore: expected one document or more, found 0"),
])  # fmt: skip
def test_rescoring_without_codes_or_documents_is_refused(run, arguments, message):
    assert message in refusal(lambda: Index.open(run, **arguments))


def evaluate_query(run, text):
    from nearfar.encoder.encode import encode
    from nearfar.encoder.load import load_encoder
    from nearfar.encoder.precision import Policy

    return encode(load_encoder(run / "model"), [text], "query", Policy())


def test_the_command_line_says_the_same(run):
    done = nearfar("compress", run, "--bytes", "8,16", "--codec", "pq", "--json")
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert set(record) == {"codec", "points", "queries", "full"}
    assert {"codec", "bytes", "ndcg@10", "retained_ndcg@10", "interval", "recall@100"} <= set(record["points"][0])
    told = nearfar("compress", run, "--bytes", "8,16", "--codec", "pq")
    assert "pq, 8 bytes: made already" in told.err
    assert f"{100 * record['points'][0]['retained_ndcg@10']:.1f} %" in told.out
    assert f'nearfar search {run} "your question" --bytes 16' in told.out
    hits = json.loads(nearfar("search", run, "open close", "--bytes", "16", "--json").out)["hits"]
    assert len(hits) == 5


def test_a_codec_larger_than_what_it_saves_is_told(run):
    large, small = (
        nearfar("compress", run, "--bytes", size, "--codec", codec) for codec, size in (("rq", 8), ("pq", 16))
    )
    told = "with 320 documents the codec, which is needed once, is larger than what it saves"
    assert told in large.out
    assert told not in small.out


def test_settings_of_learning_reach_the_codec_and_make_other_codes(run, samples):
    done = nearfar("compress", run, "--bytes", "4", "--codec", "learned_residual", "--steps", "3", "--contrast", "0.5")
    assert done.code == 0, done.err
    before = open_codes(run / "codes" / "4").codec.state()
    compress(run, [4], "learned_residual", config={"steps": 3, "contrast": 0.5})  # made already
    assert "found other codes" in refusal(lambda: compress(run, [4], "learned_residual", config={"steps": 3}))
    compress(run, [4], "learned_residual", config={"steps": 3}, overwrite=True)
    assert any((before[name] != array).any() for name, array in open_codes(run / "codes" / "4").codec.state().items())
    compress(run, [32], "taught", config={"mined": True})
    assert samples[0].learning.mined


def test_what_failed_is_made_by_the_same_call_and_the_rest_kept(run, monkeypatch):
    calls = []

    def failing(name, sample, size):
        calls.append(size)
        if size == 16 and calls.count(16) == 1:
            raise BadInput.at("codec", expected="luck", found="none", do="try again")
        return fit(name, sample, size)

    monkeypatch.setattr("nearfar.pipeline.compress.fit", failing)
    assert "try again" in refusal(lambda: compress(run, [8, 16, 32], "pq"))
    before = tree(run / "codes")
    assert {path for path in before if "/" not in path} == {"8"}
    compress(run, [8, 16, 32], "pq")
    assert calls == [8, 16, 16, 32]
    assert tree(run / "codes" / "8") == {path[2:]: content for path, content in before.items() if path != "8"}


def test_an_interrupt_keeps_what_is_finished(run, monkeypatch):
    def stopped(name, sample, size):
        if size == 16:
            raise KeyboardInterrupt
        return fit(name, sample, size)

    monkeypatch.setattr("nearfar.pipeline.compress.fit", stopped)
    assert "the same command goes on" in refusal(lambda: compress(run, [8, 16], "pq"), Interrupted)
    assert [path.name for path in (run / "codes").iterdir()] == ["8"]
    assert len(Index.open(run, size_bytes=8).search("open close", k=3)) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bytes", "7", "--codec", "float16"], "found 7 bytes; choose 64"),
        (["--bytes", "33", "--codec", "int8"], "found 33 bytes; choose 32"),
        (["--bytes", "0", "--codec", "truncate"], "found 0 bytes; choose 1"),
        (["--bytes", "8,1000", "--codec", "pq"], "found 1000 bytes; choose 32"),
        (["--bytes", "many"], "--bytes: expected whole numbers with commas, found 'many'"),
        (["--bytes", ","], "expected whole numbers with commas"),
        (["--codec", "int9"], "did you mean 'int8'?"),
        (["--bytes", "8", "--codec", "pq", "--data", "nowhere.jsonl"], "nowhere.jsonl"),
        (["--contast", "0.3"], "found 'compress.contast'; did you mean 'contrast'?"),
        (["--balance", "2"], "compress.balance"),
        (["--contrast", "0.3", "--unlabelled"], "compress.contrast: expected 0 with --unlabelled, found 0.3"),
        (["--bytes", "8", "--frozen", "8"], "compress.frozen: expected fewer than the 8 codebooks"),
        (
            ["--steps", "9", "--codec", "pq"],
            "compress.steps: expected settings that the codec 'pq' has (none)",
        ),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_written(run, arguments, message):
    before = tree(run)
    done = nearfar("compress", run, *arguments)
    assert done.code == 2
    assert message in done.lines[-1]
    assert done.lines[-1].startswith("nearfar: ")
    assert tree(run) == before


def test_a_run_without_an_index_or_no_run_is_refused(run, tmp_path):
    shutil.rmtree(run / "index")
    assert "expected a nearfar index folder" in refusal(lambda: compress(run, [8], "pq"))
    assert "expected a run folder" in refusal(lambda: compress(tmp_path / "nothing", [8], "pq"))


def test_too_few_documents_are_told(tmp_path):
    package.fit(pairs(60), base="static", out=tmp_path / "run", config=SMALL, reporter=Silent())
    message = refusal(lambda: compress(tmp_path / "run", [8], "pq"))
    assert "expected at least 256 documents to fit 8 bytes to, found 60" in message
    assert not (tmp_path / "run" / "codes").exists()


def test_codes_not_made_name_the_verb(run):
    message = refusal(lambda: Index.open(run, size_bytes=8))
    assert message.endswith(f"expected codes of 8 bytes, found none; make them: nearfar compress {run} --bytes 8")
    compress(run, [16], "pq")
    assert "found those of 16" in refusal(lambda: Index.open(run, size_bytes=8))
    assert nearfar("search", run, "open close", "--bytes", "8").code == 2


def test_codes_of_another_index_or_model_are_refused(run):
    compress(run, [8], "pq")
    old = open_index(run / "index")
    vectors = np.array(old.vectors)
    for fingerprint, kind in ((old.fingerprint, BadInput), ("another", FingerprintMismatch)):
        documents = Documents([*old.ids[1:], "new"], old.texts, vectors)
        write_index(run / "index", documents, fingerprint=fingerprint, similarity=old.similarity, overwrite=True)
        message = refusal(lambda: Index.open(run, size_bytes=8), kind)
        assert "make them again: nearfar compress with --overwrite" in message


def test_other_codes_are_replaced_only_when_asked(run):
    compress(run, [8], "pq")
    before = tree(run / "codes")
    assert "found other codes, of pq; replace them with --overwrite" in refusal(
        lambda: compress(run, [16, 8], "truncate")
    )
    assert tree(run / "codes") == before
    compress(run, [8], "truncate", overwrite=True)
    assert open_codes(run / "codes" / "8").name == "truncate"


def test_damaged_codes_are_refused(run):
    compress(run, [8], "pq")
    path = run / "codes" / "8" / "codes.npy"
    path.write_bytes(path.read_bytes()[:-1])
    assert "make the artifact again" in refusal(lambda: Index.open(run, size_bytes=8))
    assert "make the artifact again" in refusal(lambda: compress(run, [8], "pq"))
    compress(run, [8], "pq", overwrite=True)


def test_a_learned_codec_gets_the_training_queries_and_their_answers(run, samples):
    compress(run, [32], "taught")
    (sample,) = samples
    bench = Bench.open(run, None, Silent())
    judged = bench.dataset.judged("train")
    assert len(sample.queries) == len(judged.queries) > 100
    text, answer = bench.dataset.queries.texts[judged.queries[3]], dict(pairs(PAIRS))
    np.testing.assert_allclose(sample.queries[3], evaluate_query(run, text)[0], atol=1e-6)
    assert [bench.index.texts[row] for row in sample.positives[3]] == [answer[text]]


def test_unlabelled_codes_are_fitted_to_passages_of_the_documents(trained, samples, tmp_path):
    done = nearfar("compress", (run := shutil.copytree(trained, tmp_path / "r")), "--bytes", "32", "--codec", "taught",
                   "--unlabelled")  # fmt: skip
    assert done.code == 0, done.err
    (sample,) = samples
    assert sample.positives is None
    assert len(sample.queries) > 50
    assert f"{len(sample.queries):,} passages of them" in done.err
    assert "other codes" in nearfar("compress", run, "--bytes", "32", "--codec", "taught").lines[-1]


def test_other_data_are_found_in_the_index_by_their_texts(run, samples, tmp_path):
    data = write_pairs(tmp_path / "other.jsonl", 60)  # the first 60 of the run's, as another data set
    strangers = [json.dumps({"query": f"stranger {i}", "positive": text}) for i, text in enumerate(sentences(30, 5))]
    data.write_text(data.read_text() + "\n".join(strangers) + "\n")
    found = compress(run, [32], "taught", data=data)
    bench = Bench.open(run, data, Silent())
    answers = dict(pairs(PAIRS))
    for split in ("train", "dev", "test"):
        judged = bench.dataset.judged(split)
        for query, rows in zip(judged.queries, judged.documents, strict=True):
            assert [bench.index.texts[row] for row in rows] == [answers[bench.dataset.queries.texts[query]]]
    assert found.queries == len(bench.dataset.judged("test").queries)
    nothing = write_pairs(tmp_path / "nothing.jsonl", 60, seed=9)
    assert "expected test queries with an answer in the index, found none" in refusal(
        lambda: compress(run, [16], "pq", data=nothing)
    )


def test_equal_answers_under_two_ids_count_once(run):
    index = open_index(run / "index")
    data = replace(Bench.open(run, None, Silent()).dataset)
    texts = replace(data.documents, ids=[*data.documents.ids, "twin"], texts=[*data.documents.texts, index.texts[0]])
    test = data.splits["test"]
    twin = replace(test, queries=np.repeat(test.queries[:1], 2), documents=np.array([0, len(index.ids)], np.int32),
                   scores=np.ones(2, np.float32))  # fmt: skip
    moved = on_index(replace(data, documents=texts, splits={"test": twin}), index)
    assert moved.splits["test"].documents.tolist() == [0]


def test_the_same_figures_as_eval(run):
    data = run / "data" / "beir"
    full = compress(run, [64], "float16").full
    assert full["recall@100"] == pytest.approx(evaluate(run, str(data)).metrics["recall@100"])


READING = """
import json, sys
import nearfar
index = nearfar.Index.open(sys.argv[1], size_bytes=8)
codes = index.ranking.codes.codes
print(json.dumps([codes.shape, [name for name in ("torch", "transformers") if name in sys.modules]]))
"""


def test_reading_codes_imports_no_torch(run):
    compress(run, [8], "pq")
    done = subprocess.run([sys.executable, "-c", READING, str(run)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[PAIRS, 8], []]
