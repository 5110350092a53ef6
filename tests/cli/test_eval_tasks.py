"""`nearfar eval --task …`, end to end on a tiny model, and what is told when the data do not fit."""

import json

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression

import nearfar as package
from command_line import nearfar
from nearfar.encoder.encode import encode
from nearfar.encoder.load import load_encoder
from nearfar.encoder.precision import choose_policy
from nearfar.evaluate.probes import STRENGTH
from tiny_models import WORDS, pairs, sentences, tiny_static

GRADES = [0.0, 1.0, 2.5, 4.0, 5.0]


def graded(count=40):
    return [(a, b, GRADES[number % 5]) for number, (a, b) in enumerate(pairs(count))]


def labelled(count, seed=0):
    """Texts of words of the first half of the list, or of the second."""
    rng = np.random.default_rng(seed)
    halves = {"first": WORDS[: len(WORDS) // 2], "second": WORDS[len(WORDS) // 2 :]}
    names = rng.choice([*halves], count)
    return [(" ".join(rng.choice(halves[name], 6)), str(name)) for name in names]


def write(path, names, rows):
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasks")
    for seed in (0, 1):
        tiny_static(seed).model.save_pretrained(str(folder / f"model{seed}"))
    write(folder / "pairs.jsonl", ("sentence1", "sentence2", "score"), graded())
    for split, seed in (("train", 0), ("test", 1)):
        write(folder / "classes" / f"{split}.jsonl", ("text", "label"), labelled(80, seed))
    write(folder / "whole.jsonl", ("text", "label"), labelled(100))
    bad = {
        "same.jsonl": (("sentence1", "sentence2", "score"), [(a, b, 3) for a, b, _ in graded()]),
        "few.jsonl": (("sentence1", "sentence2", "score"), graded(9)),
        "unscored.jsonl": (("sentence1", "sentence2"), pairs(12)),
        "one.jsonl": (("text", "label"), [(text, "only") for text in sentences(30)]),
        "single.jsonl": (("text", "label"), [*labelled(30), ("alone", "once")]),
        "unlabelled.jsonl": (("text",), [(text,) for text in sentences(30)]),
        "null.jsonl": (("text", "label"), [*labelled(3), ("x", None)]),
        "many.jsonl": (("text", "label"), [(text, n // 2) for n, text in enumerate(sentences(30))]),
    }
    for name, (names, rows) in bad.items():
        write(folder / name, names, rows)
    return folder


@pytest.fixture(autouse=True)
def here(world, monkeypatch):
    monkeypatch.chdir(world)


def good(*arguments):
    done = nearfar("eval", "model0", *arguments)
    assert done.code == 0, done.err
    return done


def parsed(*arguments):
    return json.loads(good(*arguments, "--json").out)


def vectors(texts, model="model0"):
    return encode(load_encoder(model), texts, "query", choose_policy())


def test_sts_is_the_rank_correlation_of_the_models_similarity():
    result = parsed("--task", "sts", "--data", "pairs.jsonl")
    first, second, scores = zip(*graded(), strict=True)
    similarities = (vectors(first) * vectors(second)).sum(axis=1)
    assert result["metrics"]["spearman"] == pytest.approx(spearmanr(similarities, scores).statistic)
    low, high = result["intervals"]["spearman"]
    assert low < result["metrics"]["spearman"] < high
    assert result["pairs"] == 40
    done = good("--task", "sts", "--data", "pairs.jsonl")
    assert done.out.startswith(f"spearman    {result['metrics']['spearman']:.4f}  ({low:.4f} to {high:.4f})\npearson  ")
    assert "no test split: all of it is measured" in done.err


def test_a_base_is_measured_on_the_same_pairs():
    mine = parsed("--task", "sts", "--data", "pairs.jsonl", "--base", "model1")
    base = json.loads(nearfar("eval", "model1", "--task", "sts", "--data", "pairs.jsonl", "--json").out)
    assert mine["base"] == base
    gained = mine["metrics"]["spearman"] - base["metrics"]["spearman"]
    assert mine["difference"]["difference"] == pytest.approx(gained)
    assert "95 % interval" in good("--task", "sts", "--data", "pairs.jsonl", "--base", "model1").out


def test_classification_learns_from_train_and_asks_test():
    result = parsed("--task", "classification", "--data", "classes", "--base", "model1")
    (train, names), (test, truth) = (zip(*labelled(80, seed), strict=True) for seed in (0, 1))
    told = LogisticRegression(C=STRENGTH, max_iter=1000).fit(vectors(train), names).predict(vectors(test))
    assert result["metrics"]["accuracy"] == pytest.approx(np.mean(told == np.array(truth)))
    assert result["metrics"]["accuracy"] > 0.9
    assert (result["texts"], result["labels"], result["trained_on"]) == (80, 2, 80)
    assert result["base"]["texts"] == 80
    gained = result["metrics"]["accuracy"] - result["base"]["metrics"]["accuracy"]
    assert result["difference"]["difference"] == pytest.approx(gained)


def test_a_test_split_is_made_with_every_label_in_it():
    arguments = ("--task", "classification", "--data", "whole.jsonl")
    result = parsed(*arguments, "--test_fraction", "0.25")
    assert (result["texts"], result["trained_on"]) == (25, 75)
    assert "data: made test (25 texts, " in good(*arguments, "--test_fraction", "0.25").err
    assert parsed(*arguments) == parsed(*arguments)


def test_clustering():
    result = parsed("--task", "clustering", "--data", "classes")
    assert result["metrics"]["v_measure"] == pytest.approx(np.mean(result["per_seed"]))
    assert (len(result["per_seed"]), result["texts"], result["labels"]) == (5, 80, 2)
    assert parsed("--task", "clustering", "--data", "whole.jsonl")["texts"] == 100
    assert "v_measure" in good("--task", "clustering", "--data", "classes", "--base", "model1").out


def test_python_gives_the_same():
    from_rows = package.evaluate_sts("model0", graded())
    assert from_rows.record() == package.evaluate_sts("model0", "pairs.jsonl").record()
    assert package.evaluate_clustering("model0", labelled(30)).model.labels == 2
    assert package.evaluate_classification("model0", labelled(100)).model.trained_on == 90


def test_a_model_without_cosine_gives_probes_unit_vectors(tiny_folder):
    from nearfar.pipeline.probes import evaluate_classification

    encoder = load_encoder(tiny_folder)
    cosine = evaluate_classification(encoder, labelled(60)).model.right
    encoder.model.similarity_fn_name = "dot"
    assert evaluate_classification(encoder, labelled(60)).model.right.tolist() == cosine.tolist()


BAD = [
    ("sts same.jsonl", "same test: expected scores that differ, found 3 40 times; check data and model"),
    ("sts few.jsonl", "few test: expected at least 10 pairs with a score, found 9; give more, or another split"),
    ("sts unscored.jsonl", "unscored.jsonl:1: expected a score column (score/label/similarity), found columns "),
    ("sts nothing.jsonl", "nothing.jsonl: expected a file or folder, found none; check the path"),
    ("sts pairs.jsonl --split dev", "pairs: expected a split 'dev', found train; add it, or choose another with --spl"),
    ("sts pairs.jsonl --metric ndcg@10", "--task sts: expected no --metric, found one; leave it out"),
    ("sts pairs.jsonl --slices", "--task sts: expected no --slices, found one; leave it out"),
    ("classification one.jsonl", "one train: expected two or more labels, found 'only' alone; check the column"),
    ("classification single.jsonl", "single: expected two texts or more of each label, to make a test split, found 1 "),
    ("classification many.jsonl", "many: expected texts enough for a test split with every label in it, found 30 "),
    ("classification unlabelled.jsonl", "unlabelled.jsonl:1: expected a label column (label/intent/category/class), "),
    ("classification null.jsonl", "null.jsonl:4: expected a label in 'label', found none; fill it in, or skip bad"),
    ("clustering one.jsonl", "one test: expected two or more labels, found 'only' alone; check the column of labels"),
    ("clustering pairs.jsonl", "pairs.jsonl:1: expected a text column (text/sentence/query/question), found columns "),
    ("retrieval pairs.jsonl --base model1", "--task retrieval: expected no --base, found one; compare them: nearfar c"),
    ("steganography pairs.jsonl", "Invalid value for '--task': "),
]  # fmt: skip


@pytest.mark.parametrize(("call", "line"), BAD, ids=[call for call, _ in BAD])
def test_bad_input_is_one_line(call, line):
    task, data, *others = call.split()
    done = nearfar("eval", "model0", "--task", task, "--data", data, *others)
    assert (done.code, done.out) == (2, "")
    assert done.lines[-1].startswith(f"nearfar: {line}"), done.err
    assert all(said.startswith("data: ") for said in done.lines[:-1]), done.err


def test_bm25_has_no_vectors():
    done = nearfar("eval", "bm25", "--task", "sts", "--data", "pairs.jsonl")
    assert done.code == 2
    assert done.lines[-1].startswith("nearfar: bm25: expected a model that gives vectors, found BM25, which gives none")
