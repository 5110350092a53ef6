"""The way of a user from `init` to `search`, and that every verb keeps results and talk apart."""

import hashlib
import json
import re
import subprocess
import sys
from itertools import chain

import numpy as np
import pytest
import yaml
from sentence_transformers import SentenceTransformer

import nearfar as package
from command_line import SMALL, nearfar, options, write_pairs
from nearfar.core.errors import BadInput
from nearfar.pipeline.config import FitConfig
from tiny_models import pairs


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("data") / "pairs.jsonl")


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A finished run of a token table."""
    out = tmp_path_factory.mktemp("runs") / "run"
    done = nearfar("fit", "--base", "static", "--data", data, "--out", out, *options())
    assert done.code == 0, done.err
    return out


def good(*arguments):
    done = nearfar(*arguments)
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    return done


def parsed(*arguments):
    """Standard output of a call with --json: one line, one object."""
    out = good(*arguments, "--json").out
    assert len(out.splitlines()) == 1
    return json.loads(out)


def weights_of(run):
    (path,) = (run / "model").rglob("*.safetensors")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_init_then_fit_with_that_file_then_every_other_verb(tmp_path, monkeypatch, data):
    monkeypatch.chdir(tmp_path)
    assert "wrote nearfar.yaml" in good("init").out
    values = yaml.safe_load((tmp_path / "nearfar.yaml").read_text())
    assert FitConfig.parse(values, "nearfar.yaml") == FitConfig()
    text = (tmp_path / "nearfar.yaml").read_text()
    for line, changed in {
        "base: minilm": "base: static",
        "  source:": f"  source: {data}",
        "  dimension: 384": "  dimension: 32",
    }.items():
        text, count = re.subn(rf"^{line} ?$", changed, text, flags=re.MULTILINE)
        assert count == 1, line
    (tmp_path / "nearfar.yaml").write_text(text)

    fitted = good("fit", "--train.batch_size", "16")
    assert "ndcg@10" in fitted.out
    assert "The trained model is " in fitted.out
    assert "BM25" in fitted.out
    for talk in ("data: made dev", "computing on ", "training: about", "in-batch negatives", "truncated"):
        assert talk in fitted.err
        assert talk not in fitted.out
    assert {"model", "index", "data", "run.json", "report.html"} <= {path.name for path in (tmp_path / "run").iterdir()}
    assert not (tmp_path / "run" / "checkpoints").exists()
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["config"]["train"]["batch_size"] == 16
    assert record["config"]["static"]["dimension"] == 32

    assert "ndcg@10" in good("eval", "run", "--data", data).out
    assert len(good("search", "run", "stone river", "-k", "3").out.split("\n\n")) == 3
    (tmp_path / "texts.txt").write_text("stone\nriver house\n")
    assert "wrote 2 vectors of 32" in good("encode", "run", "texts.txt", "--out", "v.npy").out
    assert "120 queries" in good("data", "check", data).out
    assert "properties" in good("schema").out
    assert "torch" in good("version").out


def test_the_record_holds_what_the_issue_asks_for(run):
    record = json.loads((run / "run.json").read_text())
    assert {"bm25", "base", "model"} == set(record["metrics"])
    for metrics in record["metrics"].values():
        assert {"ndcg@10", "recall@100"} <= set(metrics)
        assert all(0 <= value <= 1 for value in metrics.values())
    assert {"base", "bm25"} == set(record["p_values"])
    assert record["train_seconds"] > 0
    assert record["versions"]["nearfar"] == package.__version__
    assert record["config"]["base"] == "static"
    assert len(record["losses"]) == record["steps"] == 24
    assert SentenceTransformer(str(run / "model")).encode("stone").shape == (32,)
    assert "<html" in (run / "report.html").read_text()


def test_fit_as_json(tmp_path, data):
    record = parsed("fit", "--base", "static", "--data", data, "--out", tmp_path / "run", *options())
    assert record == json.loads((tmp_path / "run" / "run.json").read_text())


def test_eval_as_json(run, data):
    asked = ("--metric", "recall@5", "--metric", "mrr@10")
    result = parsed("eval", run, "--data", data, *asked)
    assert set(result["metrics"]) == {"ndcg@10", "recall@5", "mrr@10"}
    assert result["queries"] == 12
    recorded = json.loads((run / "run.json").read_text())["metrics"]
    assert result["metrics"]["ndcg@10"] == pytest.approx(recorded["model"]["ndcg@10"], abs=0.01)
    bm25 = parsed("eval", "bm25", "--data", data)
    assert bm25["metrics"] == pytest.approx(recorded["bm25"])
    assert parsed("eval", run / "model", "--data", data, *asked) == result


def test_search_as_json(run):
    result = parsed("search", run, "stone river", "-k", "4")
    assert result["query"] == "stone river"
    assert [set(hit) for hit in result["hits"]] == [{"id", "score", "text", "metadata", "passage", "explanation"}] * 4
    scores = [hit["score"] for hit in result["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert parsed("search", run / "index", "stone river", "-k", "4") == result
    assert parsed("search", run, "stone river", "-k", "4", "--model", run / "model") == result


@pytest.mark.parametrize("role", ["query", "document"])
def test_encode_as_json(run, tmp_path, role):
    (tmp_path / "corpus.jsonl").write_text('{"_id": "a", "text": "x stone"}\n{"_id": "b", "title": "t", "text": "y"}\n')
    result = parsed("encode", run, tmp_path / "corpus.jsonl", "--out", tmp_path / "v.npy", "--role", role)
    assert (result["rows"], result["dimension"]) == (2, 32)
    assert result["fingerprint"] == json.loads((run / "run.json").read_text())["fingerprint"]
    vectors = np.load(tmp_path / "v.npy")
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_data_check_as_json(data, tmp_path):
    result = parsed("data", "check", data)
    assert (result["queries"], result["documents"], result["problems"]) == (120, 120, [])
    (tmp_path / "bad.jsonl").write_text(data.read_text() + "{\n")
    skipped = parsed("data", "check", tmp_path / "bad.jsonl", "--skip-bad-rows")
    assert skipped["queries"] == 120
    assert skipped["notices"][0] == "skipped 1 bad rows"


def test_init_schema_and_version_as_json(tmp_path):
    assert parsed("init", tmp_path / "a.yaml") == {"path": str(tmp_path / "a.yaml")}
    properties = json.loads(good("schema", "--json").out)["properties"]
    assert set(properties) == set(FitConfig.model_fields)
    assert json.loads(good("schema").out)["properties"] == properties
    assert {"python", "nearfar", "torch"} <= set(parsed("version"))


def leaves(config, prefix=""):
    """Dotted names and defaults of every field."""
    for name in type(config).model_fields:
        value = getattr(config, name)
        if hasattr(value, "model_fields_set"):
            yield from leaves(value, f"{prefix}{name}.")
        elif prefix + name == "stages":
            yield name, tuple(stage.model_dump(exclude_unset=True) for stage in value)
        else:
            yield f"{prefix}{name}", value


FIELDS = dict(leaves(FitConfig()))
OTHER = {
    "train.sides": "query",
    "compress.steps": 9,
    "compress.reconstruction": 0.5,
    "compress.contrast": 0.5,
    "train.codes.path": "run/codes/16",
    "train.monitor": "stop",
    "data.licence": "CC0",
    "base": "static",
    "data.columns": {"query": "title"},
    "data.positive_above": 0.5,
    "data.source": "x.jsonl",
    "eval.metrics": ("ndcg@10", "recall@7"),
    "out": "elsewhere",
    "recipe": "quick",
    "stages": ({"kind": "mine", "model": "bm25"}, {"kind": "train", "epochs": 3}),
    "static.tokenizer": "minilm",
    "train.device": "cpu",
    "train.keep_gib": 1.5,
    "train.learning_rate": 1e-3,
    "train.precision": "bf16",
}


OTHER |= {
    "train.batch_by": "task",
    "train.mixing.weights": {"wiki": 2.0},
    "curves": "curves.jsonl",
    "data.select.by": "overlap",
    "data.select.keep": "hardest",
    "data.select.share": 0.5,
    "train.curriculum.by": "overlap",
    "train.loss": "focal",
    "train.task_losses": {"faq": "focal"},
    "train.curriculum.anneal.by": "overlap",
    "train.directions": ("document_to_query",),
    "train.partition": "per_direction",
    "train.matryoshka": (64,),
    "train.matryoshka_weights": (0.5,),
    "train.matryoshka_layers": (3,),
    "mine.model": "minilm",
    "mine.out": "elsewhere",
    "encoder.pooling": "layer_mix",
    "encoder.mixed_layers": (1, 2),
    "encoder.attention": "bidirectional",
    "encoder.layers": 3,
    "encoder.sharing": "separate",
    "mine.filter": "minilm",
    "mine.filter_max_score": 0.5,
    "mine.device": "cpu",
    "mine.precision": "bf16",
}
OTHER |= {
    "teachers.models": ("reranker",),
    "teachers.scores": "scores.csv",
    "teachers.columns": {"score": "grade"},
    "teachers.normalise": "query",
    "teachers.cache": "elsewhere",
    "rerank.loss": "bce",
    "rerank.device": "cpu",
    "rerank.precision": "bf16",
    "rerank.base": "run",
    "rerank.out": "elsewhere",
    "rerank.bi_encoder": "run",
}
OTHER |= {
    "prompts.query": "query: ",
    "prompts.document": "text: ",
    "prompts.tasks": {"faq": "find "},
    "prompts.pooled": False,
    "prompts.examples": 2,
    "train.lora.alpha": 4.0,
    "train.lora.targets": ("query", "value"),
    "train.lora.init": "corda",
}
NEEDS = {  # fields that are refused without another one
    "train.matryoshka_weights": "train.matryoshka",
    "train.task_losses": "train.batch_by",
    "train.queue.momentum": "train.queue.size",
    "encoder.mixed_layers": "encoder.pooling",
    "train.curriculum.progressive": "train.curriculum.by",
    "data.select.share": "data.select.by",
}
MINING = {"absolute_margin": 0.1, "relative_margin": 0.1, "max_score": 0.5, "sampling": "random"}
OTHER |= {f"{group}.{name}": value for group in ("mine", "train.mine") for name, value in MINING.items()}


def other(name, default):
    """A value that the field takes and does not have."""
    if name in OTHER:
        return OTHER[name]
    if isinstance(default, bool):
        return not default
    return default + (1 if isinstance(default, int) else 0.1)


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("joined", [True, False])
def test_every_field_is_an_option(name, joined, monkeypatch, tmp_path):
    seen = {}

    def fit(*, config, mode):
        seen["config"] = config
        raise BadInput("seen")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nearfar.pipeline.fit.fit", fit)
    values = {field: other(field, FIELDS[field]) for field in (name, NEEDS.get(name)) if field}
    texts = {field: value if isinstance(value, str) else json.dumps(value) for field, value in values.items()}
    arguments = [[f"--{field}={text}"] if joined else [f"--{field}", text] for field, text in texts.items()]
    done = nearfar("fit", *chain(*arguments))
    assert done.err == "nearfar: seen\n"
    changed = dict(leaves(seen["config"]))
    assert changed == FIELDS | values


def test_options_win_over_the_file(tmp_path, monkeypatch):
    seen = {}

    def fit(*, config, mode):
        seen.update(config=config, mode=mode)
        raise BadInput("seen")

    monkeypatch.setattr("nearfar.pipeline.fit.fit", fit)
    (tmp_path / "my.yaml").write_text("base: static\ntrain:\n  epochs: 7\n  batch_size: 99\n")
    nearfar("fit", "--config", tmp_path / "my.yaml", "--train.epochs", "3", "--overwrite")
    config = seen["config"]
    assert (config.base, config.train.epochs, config.train.batch_size, seen["mode"]) == ("static", 3, 99, "overwrite")


@pytest.mark.parametrize(("required", "code"), [(["--require-better"], 1), ([], 0)])
def test_a_model_that_is_not_better_fails_where_it_must_not(tmp_path, required, code):
    """Queries that answer each other's documents teach nothing."""
    asked, documents = zip(*pairs(60), strict=True)
    rows = zip(asked, [*documents[7:], *documents[:7]], strict=True)
    lines = [json.dumps({"query": query, "positive": document}) for query, document in rows]
    (tmp_path / "shuffled.jsonl").write_text("\n".join(lines))
    run = tmp_path / "run"
    settings = options(train__epochs=1, train__learning_rate=1e-9)
    done = nearfar("fit", "--base", "static", "--data", tmp_path / "shuffled.jsonl", "--out", run, *settings, *required)
    assert done.code == code, done.err
    assert (run / "run.json").exists()
    assert "Traceback" not in done.err


def test_a_better_model_passes(tmp_path):
    """The documents are in another language, word by word: a table of random vectors finds nothing."""
    asked = [query.rsplit(" ", 1)[0] for query, _ in pairs(300)]
    rows = [{"query": query, "positive": " ".join(f"{word[::-1]}x" for word in query.split())} for query in asked]
    (tmp_path / "translated.jsonl").write_text("\n".join(map(json.dumps, rows)))
    settings = options(train__epochs=8, train__batch_size=32, static__vocabulary=2000)
    run = tmp_path / "run"
    done = nearfar("fit", "--base", "static", "--data", tmp_path / "translated.jsonl", "--out", run, *settings,
                   "--require-better")  # fmt: skip
    assert done.code == 0, done.out
    record = json.loads((run / "run.json").read_text())
    assert record["better"] is True
    assert record["p_values"]["base"] < 0.01
    assert record["metrics"]["model"]["ndcg@10"] > record["metrics"]["base"]["ndcg@10"] + 0.2


def test_resuming_a_finished_run_changes_nothing(run):
    before = weights_of(run), (run / "run.json").stat().st_mtime_ns
    done = good("fit", "--out", run, "--resume")
    assert "finished already" in done.err
    assert (weights_of(run), (run / "run.json").stat().st_mtime_ns) == before


def test_overwriting_leaves_nothing_of_the_old_run(tmp_path, tiny_folder):
    """The token store of the old run goes with it, also where half of the texts are the same."""
    rows = write_pairs(tmp_path / "all.jsonl", 80).read_text().splitlines()
    (tmp_path / "half.jsonl").write_text("\n".join(rows[:40]))
    arguments = ("fit", "--base", tiny_folder, *options(train__epochs=1))
    good(*arguments, "--data", tmp_path / "half.jsonl", "--out", tmp_path / "run")
    good(*arguments, "--data", tmp_path / "all.jsonl", "--out", tmp_path / "run", "--overwrite")
    good(*arguments, "--data", tmp_path / "all.jsonl", "--out", tmp_path / "fresh")
    assert weights_of(tmp_path / "run") == weights_of(tmp_path / "fresh")


def test_overwriting_the_data_it_reads_is_refused(tmp_path, data):
    run = package.fit(pairs(60), base="static", out=tmp_path / "run", config=SMALL)
    done = nearfar("fit", "--base", "static", "--data", run.path / "data" / "beir", "--out", run.path, "--overwrite")
    assert done.code == 2
    assert "expected data outside the run to replace" in done.lines[-1]
    assert (run.path / "run.json").exists()


def test_fit_in_python(tmp_path):
    run = package.fit(pairs(60), base="static", out=tmp_path / "run", config={**SMALL, "train": {"epochs": 1}})
    assert isinstance(run.model, SentenceTransformer)
    assert run.model.encode(["stone"]).shape == (1, 32)
    assert set(run.metrics) == {"bm25", "base", "model"}
    assert run.verdict.endswith(".")
    assert len(run.index) == 60
    assert len(run.index.search("stone", k=2)) == 2
    measured = package.evaluate(run.model, pairs(60))
    assert measured.metrics["ndcg@10"] == pytest.approx(run.metrics["model"]["ndcg@10"], abs=0.01)
    opened = package.Run.open(tmp_path / "run")
    assert opened.record["fingerprint"] == run.record["fingerprint"]
    assert len(package.Index.open(tmp_path / "run")) == 60


def test_fit_takes_a_model_in_memory(tmp_path, static):
    run = package.fit(pairs(60), base=static.model, out=tmp_path / "run", config=SMALL)
    assert run.record["metrics"]["model"]["ndcg@10"] >= 0
    assert run.model.get_embedding_dimension() == 32


def test_fit_in_python_refuses_an_existing_run(run, data):
    with pytest.raises(BadInput, match="expected a new run folder, found a finished run"):
        package.fit(data, base="static", out=run)


def test_help_imports_no_torch():
    code = (
        "import sys\nfrom nearfar.cli.main import main\n"
        "sys.argv = ['nearfar', '--help']\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    print(stop.code, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 False"
    assert "search" in done.stdout


def test_no_arguments_show_the_help():
    done = nearfar()
    assert done.code == 2
    assert "Usage: " in done.err + done.out
    assert "nearfar [OPTIONS] COMMAND" in done.err + done.out
