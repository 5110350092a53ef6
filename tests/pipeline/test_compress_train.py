"""`compress --train`: a run that learnt through its codes, measured beside the one before it; candidates by codes."""

import json
import os
import shutil
import signal

import numpy as np
import pytest

import nearfar as package
from command_line import SMALL, nearfar, tree
from nearfar.core.errors import Interrupted
from nearfar.index.codes import open_codes
from nearfar.index.generation import open_index
from nearfar.pipeline.coding import Bench
from nearfar.pipeline.compress import compress
from nearfar.pipeline.compress_train import compress_train
from nearfar.pipeline.config import MAIN_METRIC
from nearfar.pipeline.mine import mine
from nearfar.pipeline.progress import Silent
from nearfar.search.index import Index
from tiny_models import pairs

PAIRS, SIZE = 1200, 4
BASE = {**SMALL, "train.batch_size": 64}
MORE = {"train.epochs": 2, "train.learning_rate": 0.003}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of a small token table, 32-d, with codes of four bytes."""
    out = tmp_path_factory.mktemp("through") / "run"
    package.fit(pairs(PAIRS), base="static", out=out, config=BASE, reporter=Silent())
    compress(out, [SIZE], "rq")
    return out


@pytest.fixture
def run(trained, tmp_path):
    """A copy of it, to work in."""
    return shutil.copytree(trained, tmp_path / "run")


def codes_of(run):
    return run / "codes" / str(SIZE)


def test_training_through_codes_raises_what_codes_answer(run, tmp_path):
    before = tree(run)
    found = compress_train(codes_of(run), "both", tmp_path / "new", config=MORE)
    assert tree(run) == before
    rows = {row.name: row for row in found.rows}
    assert list(rows) == ["vectors", "vectors, trained", "codes", "codes, trained"]
    scores = {name: row.evaluation.per_query[MAIN_METRIC].mean() for name, row in rows.items()}
    assert scores["codes, trained"] > scores["codes"] + 0.02
    dev = [value for _, value in found.run.record["dev"]]
    assert max(dev) > dev[0] + 0.01  # of codes, on the dev set
    better = max(scores["vectors"], scores["vectors, trained"])
    for row in rows.values():
        assert row.kept.value == pytest.approx(row.evaluation.metrics[MAIN_METRIC] / better)
    made, given = open_codes(codes_of(tmp_path / "new"), tmp_path / "new" / "index"), open_codes(codes_of(run))
    assert (made.name, made.codec.size_bytes) == ("learned_residual", SIZE)
    assert (made.codes == made.codec.encode(np.array(open_index(tmp_path / "new" / "index").vectors))).all()
    assert abs(made.codec.codebooks - given.codec.codebooks).max() > 1e-3
    assert len(Index.open(tmp_path / "new", size_bytes=SIZE).search("open close", k=5)) == 5
    again = nearfar("compress", tmp_path / "new", "--bytes", SIZE, "--codec", "learned_residual")
    assert "found other codes, of learned_residual; replace them with --overwrite" in again.lines[-1]


class Interrupting(Silent):
    """Presses Ctrl-C when the second evaluation is told."""

    def say(self, line):
        if line.startswith("step ") and not line.startswith("step 1:"):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_that_was_cut_ends_with_the_same_codes(run, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    compress_train(codes_of(run), "both", whole, config=MORE)
    with pytest.raises(Interrupted, match="go on with --resume"):
        compress_train(codes_of(run), "both", cut, config=MORE, reporter=Interrupting())
    assert not codes_of(cut).exists()
    compress_train(codes_of(run), "both", cut, config=MORE, mode="resume")
    for name in ("codes.npy", "codec/state.npz"):
        assert (codes_of(cut) / name).read_bytes() == (codes_of(whole) / name).read_bytes()


def test_of_queries_alone_documents_and_codes_stay(tiny_folder, tmp_path):
    run, new = tmp_path / "run", tmp_path / "new"
    config = {**SMALL, "train.epochs": 1, "train.batch_size": 32}
    package.fit(pairs(300), base=str(tiny_folder), out=run, config=config, reporter=Silent())
    compress(run, [SIZE], "opq")
    compress_train(codes_of(run), "query", new, config={"train.learning_rate": 1e-3, "train.epochs": 3})
    old, made = (open_index(one / "index") for one in (run, new))
    np.testing.assert_allclose(made.vectors, old.vectors, atol=1e-5)
    before, after = (open_codes(codes_of(one)) for one in (run, new))
    assert (after.codes == before.codes).mean() > 0.999
    assert after.name == "learned_product"
    assert Bench.open(new, None, Silent()).encoder.is_shared is False
    assert package.Run.open(new).record["best_step"] > 0


def test_dense_training_is_on_candidates_of_codes(run, tmp_path):
    done = nearfar("compress", run, "--bytes", SIZE, "--codec", "rq", "--train", "dense", "--out", tmp_path / "new",
                   "--json", "--train.epochs", "1")  # fmt: skip
    assert done.code == 0, done.err
    record = json.loads(done.out)
    names = ["vectors", "vectors, trained", "codes", "codes, vectors", "codes, vectors trained"]
    assert [row["name"] for row in record["rows"]] == names
    rows = {row["name"]: row for row in record["rows"]}
    assert rows["codes, vectors"]["ndcg@10"] == pytest.approx(rows["vectors"]["ndcg@10"], abs=0.05)
    assert rows["codes, vectors trained"]["ndcg@10"] == pytest.approx(rows["vectors, trained"]["ndcg@10"], abs=0.05)
    assert rows["codes"]["recall@100"] == rows["codes, vectors"]["recall@100"]  # other order, the same candidates
    assert not (tmp_path / "new" / "codes").exists()
    train = (tmp_path / "new" / "data" / "beir" / "qrels" / "train.tsv").read_text().splitlines()[1:]
    assert sum(line.endswith("\t0") for line in train) > len(train) / 2  # mined negatives


def test_negatives_by_codes_are_those_of_a_loop(run):
    found = mine(codes_of(run), Bench.open(run, None, Silent()).dataset, config={"negatives": 2})
    bench, coded = Bench.open(run, None, Silent()), open_codes(codes_of(run))
    train = bench.dataset.splits["train"]
    text = bench.dataset.queries.texts[train.queries[7]]
    query = bench.space.vectors([text], "query", "")[0]
    known = {int(answer) for part in bench.dataset.splits.values()
             for row, answer in zip(part.queries, part.documents, strict=True)
             if bench.dataset.queries.texts[row] == text}  # fmt: skip
    order = np.argsort(-(coded.codec.decode(coded.codes) @ query), kind="stable")
    expected = [int(row) for row in order if row not in known][:2]
    mined = found.dataset.splits["train"]
    chosen = [int(d) for q, d, s in zip(mined.queries, mined.documents, mined.scores, strict=True)
              if found.dataset.queries.texts[q] == text and s <= 0]  # fmt: skip
    assert sorted(chosen) == sorted(expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--train", "boht", "--out", "new"],
            "expected query, both, dense, found 'boht'; did you mean 'both'?",
        ),
        (["--train", "both"], "--out: expected a folder for the run to write, found none; give --out NEW"),
        (["--train", "both", "--out", "new", "--bytes", "4,8"], "--bytes: expected one size to train with, found 2"),
        (["--train", "query", "--out", "new"], "--train: expected both or dense for a token table"),
        (["--train", "both", "--out", "."], "expected a new run folder, found a finished run"),
        (["--out", "new"], "--out: expected --train beside it, found none"),
        (["--train.epochs", "2"], "--train.epochs: expected --train beside it, found none"),
        (["--train", "both", "--out", "new", "--train.epochz", "2"], "'epochs'"),
        (["--train", "both", "--out", "new", "--train.matryoshka_layers", "[1]"], "as train.matryoshka_layers is set"),
    ],
)
def test_what_cannot_be_trained_is_one_line(run, arguments, message, monkeypatch):
    monkeypatch.chdir(run)
    before = tree(run)
    done = nearfar("compress", run, *([] if "--bytes" in arguments else ["--bytes", SIZE]), "--codec", "rq", *arguments)
    assert done.code == 2
    assert message in done.lines[-1], done.lines
    assert tree(run) == before


def test_codes_that_cannot_learn_or_are_of_another_model_are_refused(run, trained, tmp_path):
    compress(run, [32], "int8")
    int8, codes = run / "codes" / "32", codes_of(run)
    paths = {"found Int8; choose learned_residual": int8, "expected codes of the base model": codes}
    for message, path in paths.items():
        base = "static" if "base model" in message else str(run)
        done = nearfar("fit", "--base", base, "--data", run / "data" / "beir", "--out", tmp_path / "new",
                       "--train.codes.path", path, "--static.dimension", 32)  # fmt: skip
        assert done.code == 2
        assert message in done.lines[-1], done.lines
        assert not (tmp_path / "new").exists()
