"""`nearfar doctor codes`, as a user calls it."""

import json
import shutil

import numpy as np
import pytest

import nearfar as package
from command_line import SMALL, nearfar, tree
from nearfar.core.artifact import MANIFEST, read_meta, write_manifest
from nearfar.index.generation import Documents, open_index, write_index
from nearfar.pipeline.doctor_codes import diagnose_codes
from nearfar.pipeline.progress import Silent
from tiny_models import pairs


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of 320 documents with codes of three sizes."""
    out = tmp_path_factory.mktemp("codes") / "run"
    package.fit(pairs(320), base="static", out=out, config=SMALL, reporter=Silent())
    for codec, size in (("pq", 8), ("binary", 4), ("int8", 32)):
        assert nearfar("compress", out, "--codec", codec, "--bytes", size).code == 0
    return out


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def findings(*arguments):
    done = nearfar("doctor", "codes", *arguments, "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)["findings"]


def test_healthy_codes_of_every_size(run):
    before = tree(run)
    found = findings(run)
    assert [(one["failure"], one["verdict"]) for one in found] == [("codebooks", "ok")] * 3
    assert [one["summary"].split(":")[0] for one in found] == ["binary, 4 bytes", "pq, 8 bytes", "int8, 32 bytes"]
    assert all(one["figures"]["residual_drift"] == pytest.approx(1, abs=1e-3) for one in found)
    assert tree(run) == before
    lines = nearfar("doctor", "codes", run, "--bytes", "8", "--strict").out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("codebooks         ok       pq, 8 bytes: 100.0% of the centroids are used")


def test_the_error_at_fitting_is_that_of_the_documents(run):
    index, meta = open_index(run / "index"), read_meta(run / "codes" / "8", "codes")
    coded = package.Index.open(run, size_bytes=8).ranking.codes
    apart = np.square(index.vectors - coded.codec.decode(coded.codes)).sum(axis=1)
    assert meta["error"] == pytest.approx(np.mean(apart / np.square(index.vectors).sum(axis=1)), rel=1e-4)


def strangers(path, count=200):
    """Pairs in letters that no document of the run has words of."""
    generator = np.random.default_rng(3)
    texts = [" ".join("".join(generator.choice(list("jkqvxz"), 3)) for _ in range(9)) for _ in range(count)]
    lines = [json.dumps({"query": text[:11] + f" q{number}", "positive": text}) for number, text in enumerate(texts)]
    path.write_text("\n".join(lines) + "\n")
    return path, texts


def test_documents_of_another_kind_are_drift(run, tmp_path):
    data, texts = strangers(tmp_path / "new.jsonl")
    [found] = findings(run, "--bytes", "8", "--data", data)
    assert found["verdict"] == "fail", found
    assert found["figures"]["residual_drift"] > 1.6
    assert len(found["examples"]) == 10
    assert all(example["document"] in texts for example in found["examples"])
    assert nearfar("doctor", "codes", run, "--bytes", "8", "--data", data, "--strict").code == 1


def test_codes_of_before_the_error_was_kept(run, tmp_path):
    folder = run / "codes" / "8"
    meta = read_meta(folder, "codes")
    del meta["error"]
    (folder / MANIFEST).unlink()
    write_manifest(folder, "codes", meta)
    data, _ = strangers(tmp_path / "new.jsonl")
    [found] = findings(run, "--bytes", "8", "--data", data)
    assert "residual_drift" not in found["figures"]
    assert "drift unknown, as the error at fitting was not kept" in found["summary"]


def test_an_index_written_again(run):
    old = open_index(run / "index")
    documents = Documents(old.ids[:200], old.texts[:200], np.array(old.vectors[:200]))
    write_index(run / "index", documents, fingerprint=old.fingerprint, similarity=old.similarity, overwrite=True)
    [found] = findings(run, "--bytes", "8")
    assert found["verdict"] == "fail"
    assert found["figures"]["of_another_index"] == 1
    assert found["figures"]["residual_drift"] == pytest.approx(1, abs=0.2)
    assert f"nearfar compress {run} --codec pq --bytes 8 --overwrite" in found["fix"]["advice"]


def test_a_run_without_codes_says_how_to_make_them(run):
    shutil.rmtree(run / "codes")
    [found] = diagnose_codes(run, reporter=Silent()).findings
    assert found.verdict == "unknown"
    assert found.summary == f"cannot tell: needs codes: nearfar compress {run}"


@pytest.mark.parametrize(("arguments", "said"), [
    (("--bytes", "16"), "expected codes of 16 bytes, found those of 4, 8, 32; make them: nearfar compress"),
    (("--bytes", "many"), "--bytes: expected whole numbers with commas"),
    (("--data", "nowhere.jsonl"), "nowhere.jsonl"),
    (("--dta", "x"), "did you mean '--data'?"),
])  # fmt: skip
def test_what_cannot_be_is_one_line(run, arguments, said):
    done = nearfar("doctor", "codes", run, *arguments)
    assert (done.code, said in done.lines[-1]) == (2, True), done.err
