"""The doctor over other data sets than the model was trained on."""

import json

import numpy as np
import pytest

from command_line import nearfar
from nearfar.core.errors import BadInput
from nearfar.data.dataset import Dataset, Pairs, Texts
from nearfar.pipeline import doctor_texts
from nearfar.pipeline.doctor import diagnose
from nearfar.pipeline.doctor_elsewhere import read_elsewhere
from nearfar.pipeline.evaluate import evaluate
from nearfar.pipeline.fit import fit
from nearfar.pipeline.progress import Silent
from tiny_models import WORDS
from tiny_models import pairs as numbered

FRESH = {"static.dimension": 32, "static.vocabulary": 300}
SETTINGS = {"train.epochs": 12, "train.learning_rate": 0.02, "train.batch_size": 64, "train.patience": 99}


def pairs(count, seed=0):
    """Those of the tiny models without the number that ends each text, which alone would find it."""
    return [(query.rpartition(" ")[0], document.rpartition(" ")[0]) for query, document in numbered(count, seed)]


def exchanged(documents, together=4):
    """Each word as any one of its many synonyms: what must be known to find these makes words the same elsewhere."""
    rng = np.random.default_rng(0)
    groups = [WORDS[start : start + together] for start in range(0, len(WORDS), together)]
    synonyms = {word: group for group in groups for word in group}
    return [" ".join(str(rng.choice(synonyms.get(word, [word]))) for word in text.split()) for text in documents]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A table that finds queries by their words, and one that went on from it to words exchanged for others."""
    folder = tmp_path_factory.mktemp("elsewhere")
    fit(pairs(1000), base="static", out=folder / "base", config=FRESH | SETTINGS, reporter=Silent())
    queries, documents = zip(*pairs(1200, seed=1), strict=True)
    data = list(zip(queries, exchanged(documents), strict=True))
    fit(data, base=str(folder / "base" / "model"), out=folder / "run", config=SETTINGS, reporter=Silent())
    return folder


def write_beir(folder, rows, grade=1):
    (folder / "qrels").mkdir(parents=True)
    for name, place in (("queries", 0), ("corpus", 1)):
        lines = [json.dumps({"_id": f"{name[0]}{i}", "text": row[place]}) for i, row in enumerate(rows)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    judged = "".join(f"q{i}\tc{i}\t{grade}\n" + f"q{i}\tc{(i + 1) % len(rows)}\t1\n" for i in range(len(rows)))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    return folder


@pytest.fixture(scope="module")
def far(tmp_path_factory):
    return write_beir(tmp_path_factory.mktemp("far") / "far", pairs(400, seed=2), grade=3)


def shortcut(diagnosis):
    return next(finding for finding in diagnosis.findings if finding.failure == "shortcut")


def ndcg(model, data):
    return evaluate(model, data).per_query["ndcg@10"]


def test_figures_are_those_of_evaluate(runs, far):
    run, base = runs / "run", runs / "base" / "model"
    figures = shortcut(diagnose(run, elsewhere=[far])).figures
    assert figures["elsewhere_gain"] == pytest.approx((ndcg(run, far) - ndcg(base, far)).mean(), abs=1e-6)
    own = run / "data" / "beir"
    assert figures["gain"] == pytest.approx((ndcg(run, own) - ndcg(base, own)).mean(), abs=1e-6)
    assert figures["elsewhere_gain"] < -0.05


def test_what_is_lost_elsewhere_for_a_gain_at_home_fails_by_itself(runs, far):
    alone, beside = diagnose(runs / "run"), diagnose(runs / "run", elsewhere=far)
    assert shortcut(alone).verdict in {"ok", "unknown"}
    found = shortcut(beside)
    assert found.figures["gain"] > 0.05
    assert found.verdict == "fail"
    assert f"on far nDCG@10 {found.figures['elsewhere_gain']:+.3f}" in found.summary
    others = [[(one.failure, one.verdict) for one in diagnosis.findings if one.failure != "shortcut"]
              for diagnosis in (alone, beside)]  # fmt: skip
    assert others[0] == others[1]


def test_word_search_stands_for_a_fresh_table(runs, far):
    run = runs / "base"
    found = shortcut(diagnose(run, elsewhere=far))
    gain, own = ((ndcg(run, data) - ndcg("bm25", data)).mean() for data in (far, run / "data" / "beir"))
    assert found.figures["elsewhere_gain"] == pytest.approx(gain, abs=1e-6)
    assert found.figures["gain"] == pytest.approx(own, abs=1e-6)
    assert "word search, which is not judged" in found.summary


def test_large_sets_are_cut_and_keep_every_relevant_document():
    queries, documents = 1_200, 30_000
    judged = Pairs.of([(row, documents - 1 - row * place, 1) for row in range(queries) for place in (1, 2)])
    named = [Texts([f"{kind}{i}" for i in range(n)], [f"{kind} {i}" for i in range(n)])
             for kind, n in (("query", queries), ("document", documents))]  # fmt: skip
    [asked] = read_elsewhere(Dataset("large", *named, {"test": judged}), Silent())
    assert (len(asked.queries), len(asked.documents)) == (doctor_texts.MOST_QUERIES, doctor_texts.MOST_DOCUMENTS)
    for query, rows in zip(asked.queries, asked.judged.documents, strict=True):
        number = int(query.split()[1])
        assert {asked.documents[row] for row in rows} == {f"document {documents - 1 - number * i}" for i in (1, 2)}
    assert np.all(asked.judged.gains == 1)


def test_the_command_takes_several_and_names_the_worst(runs, far, tmp_path):
    near = tmp_path / "near.jsonl"
    near.write_text("".join(json.dumps({"query": q, "positive": d}) + "\n" for q, d in pairs(100, seed=4)))
    done = nearfar("doctor", "model", runs / "run", "--elsewhere", far, "--elsewhere", near, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)["findings"][2]
    assert "of near it cannot tell: needs at least 30 judged queries, found 10" in found["summary"]
    assert {"gain", "elsewhere_gain", "elsewhere_gain_high"} <= set(found["figures"])
    assert found["examples"][0]["of"] == "far"
    assert any(line.startswith("elsewhere: near: made dev") for line in done.lines)


def test_the_data_at_hand_are_told_to_be_no_other_set(runs):
    done = nearfar("doctor", "model", runs / "run", "--elsewhere", runs / "run" / "data" / "beir")
    [line] = [line for line in done.lines if line.startswith("elsewhere:")]
    assert "120 of 120 test queries of beir are in the data at hand too" in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"elsewhere": "nowhere.jsonl"}, "nowhere.jsonl: expected a file or folder"),
     ({"elsewhere": [3]}, "elsewhere: expected files, folders or data sets, found int"),
     ({"elsewhere": Dataset("bare", Texts([], []), Texts([], []), {})}, "bare: expected a split 'test'"),
     ({"elsewhere": "x", "index": "run"}, "expected no live, elsewhere, paraphrases")],
)  # fmt: skip
def test_bad_sets_are_refused(runs, arguments, said):
    with pytest.raises(BadInput, match=said):
        diagnose(runs / "run", **arguments)
    with pytest.raises(BadInput, match="elsewhere: expected a model"):
        diagnose(data=pairs(40), elsewhere="x")
