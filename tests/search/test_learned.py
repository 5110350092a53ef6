"""A learned order where word order decides, which neither bags of words nor a token table can see."""

import json
import shutil
import sys

import lightgbm
import numpy as np
import pytest
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

from command_line import assert_refused, nearfar
from nearfar.core.errors import BadInput, MissingExtra
from nearfar.data.read import as_dataset
from nearfar.encoder.precision import Policy
from nearfar.encoder.save import save_encoder
from nearfar.pipeline import indexing, learn_to_rank
from nearfar.pipeline.learn_to_rank import READ_DEPTH
from nearfar.pipeline.search_eval import evaluate_index, tune_index
from nearfar.search.config import SearchConfig
from nearfar.search.fusion import PAD
from nearfar.search.index import Index
from nearfar.search.signals import signals
from nearfar.text.words import words
from tiny_models import WORDS, tiny_static

QUESTION = "parse json list tree"
DEV, TEST, SAME = 60, 30, 4  # queries, and documents of the same words for each
LONGER, RIGHT = (2, 5, 8, 11), 2  # words of these documents besides, and which of them is right


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Documents with the words of each query among fewer or more others, of which the second longest is right."""
    folder, rng = tmp_path_factory.mktemp("learned"), np.random.default_rng(0)
    save_encoder(tiny_static(), folder / "model", card="")
    beir = folder / "beir"
    (beir / "qrels").mkdir(parents=True)
    texts, queries, rows = [], [], {"dev": [], "test": []}
    for number in range(DEV + TEST):
        asked = rng.choice(WORDS, 4, replace=False)
        at = number * SAME + rng.permutation(SAME)
        rows["dev" if number < DEV else "test"].append(f"q{number}\td{at[RIGHT]}\t1\n")
        texts += [(place, " ".join([*rng.choice(WORDS, more), *asked])) for place, more in zip(at, LONGER, strict=True)]
        queries.append({"_id": f"q{number}", "text": " ".join(asked)})
    documents = [{"_id": f"d{place}", "text": text} for place, text in sorted(texts)]
    for name, lines in (("corpus", documents), ("queries", queries)):
        (beir / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for split, lines in rows.items():
        (beir / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    indexing.build(str(beir), folder / "model", folder / "index")
    return folder


@pytest.fixture(scope="module")
def tuned(place):
    """The index with an order learned by the command line, and what that said."""
    done = nearfar("index", "tune", place / "index", "--data", place / "beir", "--learn-to-rank", "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


@pytest.fixture(scope="module")
def reading(place, tuned, tiny_folder):
    """A copy of the index whose order was learned with a multi-vector encoder."""
    modules = [Transformer(str(tiny_folder)), MultiVectorMask(), Normalize(module_input_name="token_embeddings")]
    MultiVectorEncoder(modules=modules, device="cpu").save(str(place / "late"), create_model_card=False)
    copy = shutil.copytree(place / "index", place / "reading")
    dataset = as_dataset(str(place / "beir"))
    done = tune_index(Index.open(copy), dataset, learn_to_rank=True, rerank=str(place / "late"))
    assert done.learned.kept
    return copy


def test_a_learned_order_sees_what_the_hybrid_search_does_not(place, tuned):
    found = tuned["learned"]
    assert found["kept"]
    assert found["verdict"].startswith("better: ")
    assert found["learned"]["ndcg@10"]["low"] > found["hybrid"]["ndcg@10"]["high"]
    means = {}
    for mode, rerank in (("hybrid", None), (None, "learned")):
        more = ["--rerank", rerank] if rerank else ["--mode", mode]
        done = nearfar("eval", place / "index", "--data", place / "beir", "--json", *more)
        means[rerank] = json.loads(done.out)
    assert means["learned"]["metrics"]["ndcg@10"] > 0.95
    assert means[None]["metrics"]["ndcg@10"] < 0.8
    assert means["learned"]["mode"] == "hybrid"
    assert means["learned"]["rerank"] == "learned"


def test_the_trees_are_text_that_the_manifest_covers(place, tuned, tmp_path):
    folder = place / "index" / "search"
    assert {file.name for file in folder.iterdir()} == {"manifest.json", "cheap.txt"}
    assert "cheap.txt" in json.loads((folder / "manifest.json").read_text())["files"]
    copy = shutil.copytree(place / "index", tmp_path / "index")
    trees = copy / "search" / "cheap.txt"
    trees.write_text(trees.read_text().replace("leaf_value=", "leaf_value=9", 1))
    with pytest.raises(BadInput, match=r"cheap\.txt: expected the bytes the manifest names"):
        Index.open(copy, place / "model").search("file", rerank="learned")
    Index.open(place / "index").search("file", rerank="learned")


def by_hand(ranking, query, cheap, read, scorer):
    """Rows in the order of the cascade, by loops."""
    found = ranking.candidates(query, 100)
    rows = [row for row in found.rows[0].tolist() if row != PAD]
    texts = [ranking.generation.texts[row] for row in rows]
    known = signals(ranking, query, found, texts)
    order = cheap.predict(known).astype(np.float32)
    places = sorted(range(len(rows)), key=lambda n: (-order[n], n))
    if scorer is None:
        return [rows[n] for n in places]
    head = places[:READ_DEPTH]
    given = scorer.scores([(query.texts[0], texts[n]) for n in head], Policy())
    features = []
    for n, score in zip(head, given, strict=True):
        stand = [order[n], order[head[0]] - order[n], head.index(n), score, given.max() - score]
        place = sorted(range(len(head)), key=lambda m: (-given[m], m)).index(head.index(n))
        features.append([*known[n], *stand, place])
    again = read.predict(np.array(features, np.float32)).astype(np.float32)
    return [rows[head[m]] for m in sorted(range(len(head)), key=lambda m: (-again[m], m))] + [
        rows[n] for n in places[READ_DEPTH:]
    ]


@pytest.mark.parametrize("kind", ["index", "reading"])
def test_the_order_is_that_of_the_cascade(place, tuned, reading, kind):
    index = Index.open(place / kind, place / "model")
    folder = place / kind / "search"
    trees = {name: lightgbm.Booster(model_file=str(folder / f"{name}.txt"))
             for name in ("cheap", "read") if (folder / f"{name}.txt").exists()}  # fmt: skip
    assert len(trees) == (2 if kind == "reading" else 1)
    scorer = index.stage("learned").scorer
    for query in ("parse json list tree", "retry", "stone river light"):
        asked = index.asked([query], "", "hybrid")
        expected = by_hand(index.ranking, asked, trees["cheap"], trees.get("read"), scorer)
        hits = index.search(query, 60, rerank="learned", explain=True)
        assert [hit.id for hit in hits] == [index.generation.ids[row] for row in expected[:60]]


def test_a_budget_leaves_the_rest_in_the_cheap_order(place, reading):
    cheap, whole, none = (
        Index.open(at, place / "model", config=SearchConfig(budget_ms=limit)).search(QUESTION, 100, rerank="learned")
        for at, limit in ((place / "index", None), (reading, None), (reading, 1e-6))
    )
    found, first = ([(hit.id, hit.score) for hit in hits] for hits in (none, cheap))
    assert found == first  # nothing was read in a nanosecond
    assert {hit.id for hit in whole[:READ_DEPTH]} == {hit.id for hit in cheap[:READ_DEPTH]}
    assert [(hit.id, hit.score) for hit in whole[READ_DEPTH:]] == first[READ_DEPTH:]


def test_another_model_in_the_readers_place_is_refused(place, reading, tmp_path):
    index = Index.open(reading, place / "model")
    other = MultiVectorEncoder(str(place / "late"), device="cpu")
    next(other.parameters()).data[3, 4] += 1
    kept = shutil.move(place / "late", tmp_path / "kept")
    other.save(str(place / "late"), create_model_card=False)
    try:
        with pytest.raises(BadInput, match="expected the model that the order was learned with, found another"):
            index.search("file", rerank="learned")
    finally:
        shutil.rmtree(place / "late")
        shutil.move(kept, place / "late")


def test_signals_are_what_loops_say(place, tuned):
    index, query = Index.open(place / "index"), "parse json getList"
    asked = index.asked([query], "", "hybrid")
    found = index.ranking.candidates(asked, 50)
    rows = found.rows[0].tolist()
    texts = [index.generation.texts[row] for row in rows]
    known = signals(index.ranking, asked, found, texts)
    assert known.shape == (len(rows), 15)
    terms = set(words(query))
    documents = [words(text) for text in index.generation.texts]
    count = len(documents)
    frequency = {term: sum(term in document for document in documents) for term in terms}
    weight = {term: np.log1p((count - n + 0.5) / (n + 0.5)) * words(query).count(term)
              for term, n in frequency.items() if n}  # fmt: skip
    for n, row in enumerate(rows):
        held = terms & set(documents[row])
        assert known[n, 9] == pytest.approx(len(held) / len(terms))
        assert known[n, 10] == pytest.approx(sum(weight[term] for term in held) / sum(weight.values()), abs=1e-5)
        assert known[n, 11] == pytest.approx(np.log1p(len(documents[row])))
        for at, scores in ((0, found.dense[0]), (3, found.lexical[0])):
            assert known[n, at] == scores[n]
            assert known[n, at + 1] == pytest.approx(max(scores) - scores[n])
            better = [m for m in range(len(rows)) if scores[m] > scores[n] or (scores[m] == scores[n] and m < n)]
            assert known[n, at + 2] == len(better)
        assert known[n, 14] == sum(f" {pair} " in f" {texts[n]} " for pair in ("parse json", "json getlist")) / 2


def test_an_order_that_is_no_better_is_not_kept(place, tuned, monkeypatch, tmp_path):
    copy = shutil.copytree(place / "index", tmp_path / "index")
    monkeypatch.setattr(learn_to_rank, "signals", lambda _r, _o, found, texts: np.zeros((len(texts), 15), np.float32))
    done = nearfar("index", "tune", copy, "--data", place / "beir", "--model", place / "model", "--learn-to-rank")
    assert done.code == 0, done.err
    assert "not kept: the hybrid search stays" in done.out
    with pytest.raises(BadInput, match="expected a learned order"):
        Index.open(copy, place / "model").search("file", rerank="learned")


def test_what_cannot_be_learned_or_asked_is_one_line(place, tuned, monkeypatch, tmp_path):
    few = shutil.copytree(place / "beir", tmp_path / "few")
    rows = (few / "qrels" / "dev.tsv").read_text().splitlines(keepends=True)
    (few / "qrels" / "dev.tsv").write_text("".join(rows[:50]))
    tune = ("index", "tune", place / "index", "--data")
    assert_refused(nearfar(*tune, few, "--learn-to-rank"), ["expected 50 judged queries or more, found 49"])
    assert_refused(nearfar(*tune, few, "--rerank", "model"), ["add --learn-to-rank"])
    search = ("search", place / "index", "file")
    assert_refused(nearfar(*search, "--budget-ms", "50"), ["name a reranker"])
    assert_refused(nearfar(*search, "--rerank", "learned", "--budget-ms", "0"), ["budget_ms"])
    assert_refused(nearfar(*search, "--rerank", "learned", "--mode", "dense"), ["expected a hybrid search"])
    monkeypatch.setitem(sys.modules, "lightgbm", None)  # as if it were not installed
    with pytest.raises(MissingExtra, match=r"pip install 'nearfar\[ltr\]'"):
        Index.open(place / "index").search("file", rerank="learned")


def test_an_evaluation_with_a_budget_answers_each_query(place, reading):
    index = Index.open(reading, place / "model", config=SearchConfig(budget_ms=20))
    dataset = as_dataset(str(place / "beir"))
    assert evaluate_index(index, dataset, "test", rerank="learned").metrics["ndcg@10"] > 0.9
