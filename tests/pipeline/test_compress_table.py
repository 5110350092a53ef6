"""`nearfar compress-table`: what is on disk keeps to the budget, loads alike, and is refused where it cannot be."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file

import nearfar as package
from command_line import SMALL, nearfar
from nearfar.core.artifact import read_meta
from nearfar.core.errors import BadInput
from nearfar.encoder.compressed_table import CompressedTable
from nearfar.encoder.encode import encode
from nearfar.encoder.load import load_encoder
from nearfar.encoder.precision import Policy
from nearfar.encoder.save import save_encoder
from nearfar.pipeline.compress_table import _with_first, compress_table
from nearfar.pipeline.evaluate import evaluate
from nearfar.pipeline.progress import Silent
from tiny_models import pairs, sentences

TEXTS = sentences(40)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a small token table, 32-d."""
    out = tmp_path_factory.mktemp("table") / "run"
    package.fit(pairs(320), base="static", out=out, config=SMALL, reporter=Silent())
    return out


def vectors(path):
    return encode(load_encoder(path), TEXTS, "document", Policy("cpu", "fp32", 4096))


def refusal(do):
    with pytest.raises(BadInput) as caught:
        do()
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize("method", ["mixed", "even"])
def test_the_folder_keeps_to_the_budget_and_loads_as_it_was_measured(run, tmp_path, method):
    found = compress_table(run, tmp_path / "small", 0.02, method)
    weights = sum(path.stat().st_size for path in (tmp_path / "small").rglob("*.safetensors"))
    assert found.after.weights == weights <= 20_000 < found.before.weights
    assert found.after.tokenizer == (tmp_path / "small" / "tokenizer.json").stat().st_size
    again = evaluate(tmp_path / "small", run / "data" / "beir")
    assert again.metrics["ndcg@10"] == pytest.approx(found.metrics["ndcg@10"], abs=1e-9)
    assert found.metrics_before["ndcg@10"] == pytest.approx(package.Run.open(run).metrics["model"]["ndcg@10"], abs=1e-9)
    assert found.kept.value == pytest.approx(found.metrics["ndcg@10"] / found.metrics_before["ndcg@10"])
    assert found.kept.low <= found.kept.value <= found.kept.high
    assert found.kept.value > 0.8


def test_vectors_and_fingerprint_are_the_same_before_and_after_the_disk(run, tmp_path, monkeypatch):
    made = []

    def kept(encoder, *arguments, **options):
        made.append(encoder)
        return save_encoder(encoder, *arguments, **options)

    monkeypatch.setattr("nearfar.pipeline.compress_table.save_encoder", kept)
    found = compress_table(run, tmp_path / "small", 0.02)
    before = encode(made[0], TEXTS, "document", Policy("cpu", "fp32", 4096))
    assert isinstance(made[0].model[0], CompressedTable)
    assert np.array_equal(vectors(tmp_path / "small"), before)
    loaded = load_encoder(tmp_path / "small")
    assert loaded.fingerprint() == found.fingerprint == read_meta(tmp_path / "small", "model")["fingerprint"]
    assert found.fingerprint != load_encoder(run).fingerprint()


def test_a_loaded_one_is_an_ordinary_table_and_saved_in_full(run, tmp_path):
    compress_table(run, tmp_path / "small", 0.02)
    loaded = load_encoder(tmp_path / "small")
    assert save_encoder(loaded, tmp_path / "full", card="") == loaded.fingerprint()
    assert "embedding.weight" in load_file(tmp_path / "full" / "model.safetensors")
    assert np.array_equal(vectors(tmp_path / "full"), vectors(tmp_path / "small"))
    small = {name: value for name, value in SMALL.items() if not name.startswith("static")}
    more = package.fit(
        pairs(120, 2), base=str(tmp_path / "small"), out=tmp_path / "more", config=small, reporter=Silent()
    )
    assert more.record["best_step"] > 0
    assert not np.allclose(vectors(tmp_path / "more"), vectors(tmp_path / "small"), atol=1e-3)


def test_prompts_stay(run, tmp_path):
    encoder = load_encoder(run)
    encoder.model.prompts = {"query": "find: ", "document": ""}
    assert _with_first(encoder, encoder.model[0]).prompt("query") == "find: "


def test_the_line_and_the_json_say_sizes_and_quality(run, tmp_path):
    done = nearfar("compress-table", run, "--out", tmp_path / "small", "--megabytes", "0.02")
    assert done.code == 0
    assert "weights 0." in done.out
    assert "→ 0.02 MB" in done.out
    assert "95 % interval" in done.out
    assert f"--from {run} --model {tmp_path / 'small'}" in done.out
    again = nearfar("compress-table", run, "--out", tmp_path / "small", "--megabytes", "0.02", "--overwrite", "--json")
    record = json.loads(again.out)
    assert record["weights_bytes"] <= 20_000 < record["weights_bytes_before"]
    assert record["interval"][0] <= record["retained_ndcg@10"] <= record["interval"][1]


@pytest.mark.parametrize("megabytes", [0.001, 0, -1, float("nan")])
def test_an_impossible_budget_names_the_nearest_that_is_possible(run, tmp_path, megabytes):
    line = refusal(lambda: compress_table(run, tmp_path / "small", megabytes, "even"))
    assert not (tmp_path / "small").exists()
    least = float(line.partition("expected ")[2].split()[0])
    assert compress_table(run, tmp_path / "small", least, "even").after.weights <= least * 1e6


def test_refusals(run, tmp_path, tiny_folder):
    assert "did you mean 'mixed'" in refusal(lambda: compress_table(run, tmp_path / "small", method="mix"))
    (tmp_path / "mine").mkdir()
    assert "choose another" in refusal(lambda: compress_table(run, tmp_path / "mine", overwrite=True))
    assert "run folder" in refusal(lambda: compress_table(tmp_path / "none", tmp_path / "small"))


def test_damaged_codes_are_refused(run, tmp_path):
    compress_table(run, tmp_path / "small", 0.02)
    shutil.copy(run / "model" / "model.safetensors", tmp_path / "small" / "model.safetensors")
    assert "compress it again" in refusal(lambda: load_encoder(tmp_path / "small"))


def test_a_transformer_is_refused(tmp_path, tiny_folder):
    out = tmp_path / "run"
    small = {name: value for name, value in SMALL.items() if not name.startswith("static")}
    package.fit(pairs(40), base=str(tiny_folder), out=out, config={**small, "train.epochs": 1}, reporter=Silent())
    line = refusal(lambda: compress_table(out, tmp_path / "small"))
    assert "token table" in line
    assert "nearfar compress" in line
