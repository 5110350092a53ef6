"""Searches with filters, words and explanations against plain loops over all documents."""

import json
import shutil
from itertools import pairwise

import numpy as np
import pytest

from nearfar.core.errors import BadInput
from nearfar.data.read import as_dataset
from nearfar.encoder.encode import encode
from nearfar.encoder.precision import Policy
from nearfar.encoder.save import save_encoder
from nearfar.index.config import IndexConfig
from nearfar.pipeline import indexing
from nearfar.pipeline.search_eval import evaluate_index, tune_index
from nearfar.search.config import SearchConfig
from nearfar.search.fusion import WEIGHTS
from nearfar.search.index import Index
from nearfar.text.words import words
from tiny_models import pairs, sentences, tiny_static
from words_at_once import words_at_once

COUNT = 400
TEXTS = sentences(COUNT)
YEARS = [None if n % 7 == 0 else 2000 + n % 20 for n in range(COUNT)]
TAGS = [["all"] + ["even"] * (n % 2 == 0) + ["rare"] * (n % 80 == 3) for n in range(COUNT)]
QUERIES = ["stone river light", "parse json list", "cache queue lock number 17", "retry", *TEXTS[40:44]]
CODES = {"codec": "pq", "size_bytes": 4, "exact_below": 300, "documents_per_cell": 20}
ALL = {"scanned": 10**6, "candidates": 10**6}
LEAST = {"scanned": 1, "candidates": 1}
CONFIGS = {"exact": {}, "codes": {**CODES, **ALL}, "few cells": {**CODES, "scanned": 1, "candidates": COUNT - 1},
           "few candidates": {**CODES, **ALL, "candidates": 1}}  # fmt: skip
FILTERS = {
    "": lambda n: True,
    "year >= 2010": lambda n: (YEARS[n] or 0) >= 2010,
    "not year >= 2010": lambda n: (YEARS[n] or 0) < 2010,
    'tags has "even" and year is present': lambda n: "even" in TAGS[n] and YEARS[n] is not None,
    'tags has "rare"': lambda n: "rare" in TAGS[n],
    'id in ("d3", "d77", "none")': lambda n: n in (3, 77),
    'text contains "STONE"': lambda n: "stone" in TEXTS[n],
    "year = 1": lambda n: False,
}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """An index of each configuration beside the model."""
    folder = tmp_path_factory.mktemp("searching")
    save_encoder(tiny_static(), folder / "model", card="")
    lines = [{"_id": f"d{n}", "text": TEXTS[n], "year": YEARS[n], "tags": TAGS[n]} for n in range(COUNT)]
    (folder / "documents.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for name, config in CONFIGS.items():
        indexing.build(str(folder / "documents.jsonl"), folder / "model", folder / name, config=IndexConfig(**config))
    return folder


@pytest.fixture(scope="module")
def vectors():
    return encode(tiny_static(), TEXTS, "document", Policy())


def dense_of(vectors, query):
    return vectors @ encode(tiny_static(), [query], "query", Policy())[0]


def lexical_of(query):
    """The score of every document by words."""
    return words_at_once(TEXTS).scores(query, np.arange(COUNT)).astype(np.float64)


def terms_of(text):
    """Its words, and those that stand beside one another."""
    return {*words(text), *map(" ".join, pairwise(words(text)))}


def ranked(scores, allowed):
    """Numbers of the allowed documents, best first."""
    return sorted(allowed, key=lambda n: (-scores[n], n))


def fused(dense, lexical, allowed, weight):
    """What both add to the score of each document, by the formula."""
    highest, most = max(dense[n] for n in allowed), max(lexical[n] for n in allowed)
    by_words = {n: (1 - weight) * lexical[n] / most if most else 0 for n in allowed}
    return {n: weight * (dense[n] + 1) / (highest + 1) for n in allowed}, by_words


def allowed_by(condition):
    return [n for n in range(COUNT) if FILTERS[condition](n)]


def agree(hits, scores, allowed, k):
    """The hits are the k best of the allowed by these scores, but for the order of ties."""
    best = ranked(scores, allowed)[:k]
    assert [hit.score for hit in hits] == pytest.approx([scores[n] for n in best], abs=2e-5)
    assert {hit.id for hit in hits} <= {f"d{n}" for n in allowed}
    assert [scores[int(hit.id[1:])] for hit in hits] == pytest.approx([hit.score for hit in hits], abs=2e-5)
    assert len({hit.id for hit in hits}) == len(hits)


@pytest.mark.parametrize("name", ["exact", "codes"])
@pytest.mark.parametrize("condition", FILTERS)
def test_a_filtered_search_is_a_search_of_what_a_loop_allows(places, vectors, name, condition):
    index, allowed = Index.open(places / name, config=SearchConfig(depth=COUNT)), allowed_by(condition)
    assert (index.generation.cells is None) == (name == "exact")
    for query in QUERIES:
        dense, lexical = dense_of(vectors, query), lexical_of(query)
        agree(index.search(query, 12, filter=condition), dense, allowed, 12)
        worded = [n for n in allowed if lexical[n] > 0]
        agree(index.search(query, 12, filter=condition, mode="lexical"), lexical, worded, 12)
        if allowed:
            by_dense, by_words = fused(dense, lexical, allowed, 0.94)
            both = {n: by_dense[n] + by_words[n] for n in allowed}
            agree(index.search(query, 12, filter=condition, mode="hybrid"), both, allowed, 12)
        else:
            assert index.search(query, 12, filter=condition, mode="hybrid") == []


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_the_weight_is_that_of_the_formula(places, vectors, weight):
    index = Index.open(places / "codes", config=SearchConfig(depth=COUNT, weight=weight))
    for query in QUERIES:
        by_dense, by_words = fused(dense_of(vectors, query), lexical_of(query), range(COUNT), weight)
        agree(
            index.search(query, 20, mode="hybrid"), {n: by_dense[n] + by_words[n] for n in by_dense}, range(COUNT), 20
        )


def test_ranks_are_joined_by_ranks(places, vectors):
    index = Index.open(places / "exact", config=SearchConfig(depth=COUNT, fusion="reciprocal_ranks"))
    for query in QUERIES:
        dense, lexical = dense_of(vectors, query), lexical_of(query)
        scores = dict.fromkeys(range(COUNT), 0.0)
        for place, n in enumerate(ranked(dense, range(COUNT)), start=1):
            scores[n] += 1 / (60 + place)
        for place, n in enumerate(ranked(lexical, [n for n in range(COUNT) if lexical[n] > 0]), start=1):
            scores[n] += 1 / (60 + place)
        agree(index.search(query, 20, mode="hybrid"), scores, range(COUNT), 20)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("condition", FILTERS)
@pytest.mark.parametrize("mode", ["dense", "hybrid"])
def test_there_are_k_results_where_k_documents_are_allowed(places, name, condition, mode):
    index, there = Index.open(places / name), len(allowed_by(condition))
    for k in (1, 5, 150, COUNT + 50):
        for hits in index.search_many(QUERIES[:4], k, filter=condition, mode=mode):
            assert len(hits) == min(k, there)


def test_many_are_asked_as_each(places):
    index = Index.open(places / "codes")
    for mode in ("dense", "lexical", "hybrid"):
        together = index.search_many(QUERIES, 6, filter="year >= 2010", mode=mode)
        for query, hits in zip(QUERIES, together, strict=True):
            alone = index.search(query, 6, filter="year >= 2010", mode=mode)
            assert [hit.id for hit in hits] == [hit.id for hit in alone]


def test_metadata_comes_with_the_hit(places):
    hit = Index.open(places / "codes").search(TEXTS[5], 1)[0]
    assert (hit.id, hit.text, hit.metadata) == ("d5", TEXTS[5], {"year": YEARS[5], "tags": TAGS[5]})
    assert "year" not in Index.open(places / "exact").search(TEXTS[7], 1)[0].metadata


@pytest.mark.parametrize("name", ["exact", "codes"])
def test_an_explanation_adds_up(places, vectors, name):
    index = Index.open(places / name, config=SearchConfig(depth=COUNT, weight=0.6))
    for query in QUERIES:
        dense, lexical = dense_of(vectors, query), lexical_of(query)
        by_dense, by_words = fused(dense, lexical, range(COUNT), 0.6)
        for mode in ("dense", "lexical", "hybrid"):
            for hit in index.search(query, 15, mode=mode, explain=True):
                n, why = int(hit.id[1:]), hit.explanation
                assert why.lexical == pytest.approx(lexical[n], abs=1e-4)
                assert sum(why.matched.values()) == pytest.approx(why.lexical, abs=1e-4)
                assert why.matched.keys() == terms_of(query) & terms_of(TEXTS[n])
                assert list(why.matched.values()) == sorted(why.matched.values(), reverse=True)
                assert why.dense is None if mode == "lexical" else why.dense == pytest.approx(dense[n], abs=1e-5)
                share = {"dense": 1, "lexical": 0, "hybrid": by_dense[n] / (by_dense[n] + by_words[n])}[mode]
                assert why.dense_share == pytest.approx(share, abs=1e-4)
                if mode == "hybrid":
                    assert hit.score == pytest.approx(by_dense[n] + by_words[n], abs=1e-4)
    assert index.search(QUERIES[0], 1)[0].explanation is None


def lost(index, vectors, k):
    """A query, and a document of its k best by exact scores that the index does not find."""
    for query in TEXTS:
        best = {f"d{n}" for n in ranked(dense_of(vectors, query), range(COUNT))[:k]}
        if missing := sorted(best - {hit.id for hit in index.search(query, k)}):
            return query, missing[0]
    raise AssertionError("nothing is lost")


@pytest.mark.parametrize(("name", "stage"), [("few cells", "probe"), ("few candidates", "codes")])
def test_a_document_that_codes_lose_is_said_to_be_lost_there(places, vectors, name, stage):
    index = Index.open(places / name)
    query, id_ = lost(index, vectors, 5)
    said = index.why_not(query, id_, 5)
    assert (said.stage, said.place) == (stage, None)
    assert said.dense_place <= 5
    assert Index.open(places / "codes").why_not(query, id_, 5).stage == "found"


@pytest.mark.parametrize("name", ["exact", "codes"])
def test_every_other_stage_is_named(places, vectors, name):
    index, query = Index.open(places / name), QUERIES[0]
    dense, lexical = dense_of(vectors, query), lexical_of(query)
    by_dense, by_words = ranked(dense, range(COUNT)), ranked(lexical, range(COUNT))
    assert index.why_not(query, "d999").stage == "not indexed"
    said = index.why_not(query, f"d{by_dense[0]}", filter="year = 1")
    assert (said.stage, said.dense_place) == ("filter", None)
    for place, stage in ((1, "found"), (10, "found"), (11, "encoder"), (300, "encoder")):
        said = index.why_not(query, f"d{by_dense[place - 1]}", 10)
        assert said.stage == stage or place in {10, 11}  # whose scores may be equal but for rounding
        assert dense[by_dense[said.dense_place - 1]] == pytest.approx(dense[by_dense[place - 1]], abs=1e-6)
    wordless = next(n for n in range(COUNT) if not lexical[n])
    assert index.why_not(query, f"d{wordless}", mode="lexical").said == "it has no word of the question"
    said = index.why_not(query, f"d{by_words[20]}", 10, mode="lexical")
    assert (said.stage, said.dense_place) == ("words", None)
    assert lexical[by_words[said.lexical_place - 1]] == pytest.approx(lexical[by_words[20]])


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_document_that_fusion_loses_is_said_to_be_lost_there(places, vectors, weight):
    query, index = QUERIES[0], Index.open(places / "exact", config=SearchConfig(weight=weight))
    other = lexical_of(query) if weight else dense_of(vectors, query)  # the side that has no say
    found = {hit.id for hit in index.search(query, 3, mode="hybrid")}
    id_ = next(f"d{n}" for n in ranked(other, range(COUNT)) if f"d{n}" not in found)
    said = index.why_not(query, id_, 3, mode="hybrid")
    assert said.stage == "fusion"
    assert said.place > 3
    assert (said.lexical_place if weight else said.dense_place) <= 4
    assert index.why_not(query, found.pop(), 3, mode="hybrid").stage == "found"


def test_a_set_is_the_sum_of_its_scores(places, vectors):
    like, unlike = TEXTS[10:12], [TEXTS[200]]
    scores = sum(dense_of(vectors, text) for text in like) - dense_of(vectors, unlike[0])
    for name in ("exact", "codes"):
        agree(Index.open(places / name).search_set(like, unlike, 15), scores, range(COUNT), 15)
        allowed = allowed_by("year >= 2010")
        agree(Index.open(places / name).search_set(like, unlike, 15, filter="year >= 2010"), scores, allowed, 15)
    with pytest.raises(BadInput, match="like: expected a text or more, found none"):
        Index.open(places / "exact").search_set([], ["stone"])


def test_a_topic_is_the_mean_of_the_documents_nearest_to_its_words(places, vectors):
    keywords = ["stone", "river", "house"]
    mean = encode(tiny_static(), keywords, "document", Policy()).mean(axis=0)
    for condition in ("", 'tags has "even" and year is present'):
        allowed = allowed_by(condition)
        topic = vectors[ranked(vectors @ mean, allowed)[:20]].mean(axis=0)
        for name in ("exact", "codes"):
            hits = Index.open(places / name).search_topic(keywords, 15, filter=condition)
            agree(hits, vectors @ topic, allowed, 15)
    with pytest.raises(BadInput, match="topic: expected a keyword or more, found none"):
        Index.open(places / "exact").search_topic([])


def test_words_of_a_topic_are_words_of_documents(places, tmp_path):
    encoder = tiny_static()
    encoder.model.prompts = {"query": "stone stone stone ", "document": ""}
    (tmp_path / "documents.jsonl").write_text("".join(json.dumps({"_id": t, "text": t}) + "\n" for t in TEXTS[:60]))
    save_encoder(encoder, tmp_path / "model", card="")
    indexing.build(str(tmp_path / "documents.jsonl"), tmp_path / "model", tmp_path / "index")
    own = encode(encoder, TEXTS[:60], "document", Policy())
    topic = own[np.argsort(-(own @ encode(encoder, ["river"], "document", Policy())[0]))[:20]].mean(axis=0)
    assert Index.open(tmp_path / "index").search_topic(["river"], 5)[0].id == TEXTS[int((own @ topic).argmax())]


def test_feedback_moves_the_question(places, vectors):
    for name in ("exact", "codes"):
        index = Index.open(places / name, config=SearchConfig(feedback=4, feedback_weight=0.3))
        for query in QUERIES:
            first = encode(tiny_static(), [query], "query", Policy())[0]
            mean = vectors[ranked(vectors @ first, range(COUNT))[:4]].mean(axis=0)
            agree(index.search(query, 15), vectors @ (0.7 * first + 0.3 * mean), range(COUNT), 15)


@pytest.mark.parametrize("mode", ["dense", "hybrid", "lexical"])
def test_a_question_without_words_is_refused(places, mode):
    for query in ("", " \n"):
        with pytest.raises(BadInput, match="question: expected words, found none"):
            Index.open(places / "exact").search(query, mode=mode)


@pytest.fixture
def judged(places, tmp_path):
    """An index to be tuned, and judged queries: those with even numbers are documents' own texts, others are wrong."""
    folder = tmp_path / "judged"
    (folder / "qrels").mkdir(parents=True)
    asked = [(f"q{n}", TEXTS[n] if n % 2 == 0 else pairs(COUNT, 9)[n][0]) for n in range(60)]
    (folder / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": f"d{n}", "text": TEXTS[n]}) + "\n" for n in range(60))
    )
    (folder / "queries.jsonl").write_text("".join(json.dumps({"_id": key, "text": text}) + "\n" for key, text in asked))
    for split in ("dev", "test"):
        lines = "".join(f"q{n}\td{n if n % 2 == 0 else 59 - n}\t1\n" for n in range(60))
        (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + lines)
    shutil.copytree(places / "model", tmp_path / "model")
    return shutil.copytree(places / "codes", tmp_path / "index"), as_dataset(str(folder)), dict(asked)


def test_the_tuned_weight_is_the_best_of_all(judged):
    path, dataset, _ = judged
    tuned = tune_index(Index.open(path), dataset)
    assert tuned.queries == 60

    def measured(weight):
        index = Index.open(path, config=SearchConfig(weight=weight))
        return evaluate_index(index, dataset, "dev", ["ndcg@10"], "hybrid").metrics["ndcg@10"]

    every = {float(weight): measured(float(weight)) for weight in WEIGHTS}
    assert every[tuned.weight] == pytest.approx(max(every.values()), abs=1e-9)
    assert min(every.values()) < max(every.values())
    assert Index.open(path).ranking.weight == tuned.weight
    assert Index.open(path, config=SearchConfig(weight=0.3)).ranking.weight == 0.3


def test_it_abstains_where_answers_were_wrong(judged):
    path, dataset, asked = judged
    index = Index.open(path)
    with pytest.raises(BadInput, match="found none; learn it: nearfar index tune"):
        index.answers(index.search("stone", 1))
    tune_index(index, dataset)
    index = Index.open(path)
    for mode in ("dense", "lexical"):
        said = {key: index.answers(index.search(text, 1, mode=mode), mode) for key, text in asked.items()}
        right = sum(said[f"q{n}"] == (n % 2 == 0) for n in range(60))
        assert right >= 57, mode
    assert not index.answers([])


def test_what_was_learnt_outlives_a_change_of_the_index(judged):
    path, dataset, _ = judged
    tuned = tune_index(Index.open(path), dataset)
    indexing.delete(path, ["d399"])
    indexing.gc(path)
    assert Index.open(path).generation.settings.weight == tuned.weight
    assert Index.open(path).generation.settings.answered_from == tuned.answered_from


@pytest.mark.parametrize("mode", ["dense", "lexical", "hybrid"])
def test_a_search_is_measured_as_it_answers(judged, mode):
    path, dataset, asked = judged
    index = Index.open(path)
    hits = index.search_many(list(asked.values()), 10, mode=mode)
    first = [next((1 / place for place, hit in enumerate(found, start=1)
                   if hit.id == f"d{n if n % 2 == 0 else 59 - n}"), 0) for n, found in enumerate(hits)]  # fmt: skip
    measured = evaluate_index(index, dataset, "test", ["mrr@10"], mode)
    assert measured.metrics["mrr@10"] == pytest.approx(np.mean(first), abs=1e-6)
    assert len(measured.queries) == 60
