"""MTEB's own package measures what nearfar measures, on nearfar's encoder."""

import importlib.util
import json
import sys

import numpy as np
import pytest

from command_line import nearfar
from nearfar.core.errors import BadInput
from nearfar.data.beir import write_beir
from nearfar.data.read import from_records
from nearfar.encoder.encode import encode
from nearfar.encoder.load import load_encoder
from nearfar.encoder.precision import choose_policy
from nearfar.pipeline.evaluate import evaluate
from nearfar.pipeline.mteb_tasks import evaluate_mteb
from nearfar.pipeline.probes import evaluate_sts
from tiny_models import pairs, sentences, tiny_static

needs_mteb = pytest.mark.skipif(
    importlib.util.find_spec("mteb") is None, reason="needs the extra: pip install 'nearfar[mteb]'"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A token table that says something before queries, before documents, and before the texts of one task."""
    made = tiny_static().model
    made.prompts = {"query": "open close ", "document": "stone river ", "STSBenchmark": "graph tree "}
    folder = tmp_path_factory.mktemp("models") / "prompted"
    made.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module")
def beir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets") / "own"
    folder.mkdir()
    made = from_records(pairs(60))
    write_beir(made.__class__(made.name, made.queries, made.documents, {"test": made.splits["train"]}), folder)
    return folder


def write(folder, **splits):
    folder.mkdir()
    for split, rows in splits.items():
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@needs_mteb
def test_retrieval_on_a_beir_folder_is_what_nearfar_measures(model, beir):
    found = evaluate_mteb(model, beir)
    expected = evaluate(str(model), beir, metrics=["ndcg@10", "recall@5"]).metrics
    scores = found.scores["test"]["default"]
    assert (found.task, found.kind, found.main_metric) == ("own", "Retrieval", "ndcg_at_10")
    assert found.main_score == pytest.approx(expected["ndcg@10"], abs=1e-4)  # mteb rounds
    assert scores["recall_at_5"] == pytest.approx(expected["recall@5"], abs=1e-4)


@needs_mteb
def test_a_folder_with_the_name_of_a_task_holds_its_data(model, tmp_path):
    rows = [{"sentence1": a, "sentence2": b, "score": float(n % 6)} for n, (a, b) in enumerate(pairs(40))]
    folder = write(tmp_path / "STSBenchmark", test=rows)
    found = evaluate_mteb(model, folder)
    encoder = load_encoder(model)
    texts = ([row[side] for row in rows] for side in ("sentence1", "sentence2"))
    first, second = (encode(encoder, side, "query", choose_policy(), tasks=["STSBenchmark"] * 40) for side in texts)
    from scipy.stats import spearmanr

    expected = spearmanr((first * second).sum(axis=1), [row["score"] for row in rows]).statistic
    scores = found.scores["test"]["default"]
    assert found.main_metric == "cosine_spearman"
    assert found.main_score == scores["spearman"] == pytest.approx(expected, abs=1e-4)
    plain = evaluate_sts(model, folder).model.spearman  # without the task's own prompt
    assert plain != pytest.approx(expected, abs=1e-4)


@needs_mteb
def test_classification_and_the_command_line(model, tmp_path):
    rows = [{"text": text, "label": number % 2} for number, text in enumerate(sentences(60))]
    folder = write(tmp_path / "Banking77Classification", train=rows, test=rows[:20])
    done = nearfar("eval", model, "--task", "mteb", "--data", folder, "--json")
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert record["metrics"] == {"accuracy": record["main_score"]}
    assert 0 <= record["main_score"] <= 1
    assert set(record["scores"]) == {"test"}
    done = nearfar("eval", model, "--task", "mteb", "--data", folder)
    assert done.out.startswith(
        f"accuracy            {record['main_score']:.4f}\nBanking77Classification (Classification)"
    )
    assert not done.err, "no bars, no warnings"


@needs_mteb
def test_nearfars_encoder_keeps_mtebs_protocol(model):
    import mteb

    from nearfar.pipeline.mteb_tasks import MtebEncoder
    from nearfar.pipeline.probes import open_space
    from nearfar.pipeline.progress import Silent

    encoder = MtebEncoder(open_space(model, None, Silent()))
    assert isinstance(encoder, mteb.EncoderProtocol)
    assert not isinstance(encoder, mteb.SearchProtocol)
    batches, metadata = [{"text": ["stone", "river"]}, {"text": ["house"]}], mteb.get_task("STSBenchmark").metadata
    known = load_encoder(model)
    for kind, role in (("document", "document"), ("query", "query"), (None, "query")):
        given = encoder.encode(batches, task_metadata=metadata, hf_split="test", hf_subset="default", prompt_type=kind)
        tasks = ["STSBenchmark"] * 3 if role == "query" else ()
        expected = encode(known, ["stone", "river", "house"], role, choose_policy(), tasks=tasks)
        np.testing.assert_allclose(given, expected, atol=1e-6)
    np.testing.assert_allclose(encoder.similarity(given, given).diagonal(), encoder.similarity_pairwise(given, given))


@needs_mteb
def test_what_cannot_be_run_is_told(model, beir, tmp_path):
    (tmp_path / "no task").mkdir()
    (tmp_path / "STSBenchmark").mkdir()
    cases = {
        "STSBenchmarkk": "expected a task of mteb, .* found none; Did you mean: 'STSBenchmark'",
        tmp_path / "no task": "'no task': expected a task of mteb, a folder named as one, or a BEIR folder",
        tmp_path / "STSBenchmark": "expected the data of the task STSBenchmark, found none ",
        "Banking77Classification": "expected the data of the task Banking77Classification, found none .*; check the",
        "CIFAR10Clustering": "CIFAR10Clustering: expected a task of texts, found one of image",
    }
    for data, message in cases.items():
        with pytest.raises(BadInput, match=message):
            evaluate_mteb(model, data)
    with pytest.raises(BadInput, match="own: expected a split 'dev', found test"):
        evaluate_mteb(model, beir, split="dev")
    with pytest.raises(BadInput, match="STSBenchmark: expected a split 'dev', found test"):
        evaluate_mteb(model, "STSBenchmark", split="dev")


@needs_mteb
def test_grades_that_are_no_whole_numbers_are_told(model, beir, tmp_path):
    import shutil

    own = shutil.copytree(beir, tmp_path / "own")
    judged = own / "qrels" / "test.tsv"
    judged.write_text(judged.read_text().replace("\t1\n", "\t0.5\n", 1))
    with pytest.raises(BadInput, match="own: expected whole numbers as scores, as mteb reads no others, found "):
        evaluate_mteb(model, own)


def test_without_the_extra_the_command_is_named(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "mteb", None)
    done = nearfar("eval", model, "--task", "mteb", "--data", "STSBenchmark")
    assert done.code == 2
    assert done.err == "nearfar: a task of MTEB needs the extra 'mteb'; install it with: pip install 'nearfar[mteb]'\n"
