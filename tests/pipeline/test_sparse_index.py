"""Indexes with a learned sparse encoder against products of the model's own weights, and a plain dictionary."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from command_line import assert_refused, nearfar
from nearfar.core.artifact import read_meta
from nearfar.core.errors import BadInput, FingerprintMismatch, Interrupted
from nearfar.data.read import as_dataset
from nearfar.encoder.encode import encode
from nearfar.encoder.precision import Policy
from nearfar.encoder.save import save_encoder
from nearfar.encoder.sparse import SparseModel
from nearfar.index.config import IndexConfig
from nearfar.index.generation import KIND, open_index
from nearfar.pipeline import indexing
from nearfar.pipeline.search_eval import evaluate_index, tune_index
from nearfar.search.config import SearchConfig
from nearfar.search.index import Index
from tiny_models import pairs, sentences, tiny_static
from tiny_sparse import KINDS, Own, tiny_sparse

COUNT = 150
TEXTS = dict(enumerate(sentences(COUNT)))
QUERIES = ["stone river light", "parse json list", "retry cache lock queue", *sentences(3, seed=5)]
CLOSE = {"rel": 1e-3, "abs": 1e-5}  # float16 weights: each is off by at most 2⁻¹¹ of itself


def write(path, documents):
    lines = [{"_id": f"d{n}", "text": text, "year": 2000 + n % 10} for n, text in documents.items()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A dense model, a sparse encoder of each kind, and an index with each, beside each other."""
    folder = tmp_path_factory.mktemp("sparse")
    save_encoder(tiny_static(), folder / "model", card="")
    source = write(folder / "documents.jsonl", TEXTS)
    for kind in KINDS:
        tiny_sparse(kind, folder / kind)
        config = IndexConfig(sparse=str(folder / kind / "model"))
        indexing.build(source, folder / "model", folder / f"{kind}-index", config=config)
    indexing.build(source, folder / "model", folder / "words")
    return folder


@pytest.fixture(scope="module")
def models(place):
    return {kind: Own(tiny_sparse(kind, place / f"{kind} again")) for kind in KINDS}


def product(own, query, texts):
    """The model's own weights of a query by those of documents."""
    return own.weights("document", list(texts)) @ own.weights("query", [query])[0]


def agree(hits, scores, k):
    """The hits are the k best by these scores, id → score, but for the order of ties."""
    best = sorted((score for score in scores.values() if score > 1e-6), reverse=True)[:k]
    assert [hit.score for hit in hits] == pytest.approx(best, **CLOSE)
    assert [scores[hit.id] for hit in hits] == pytest.approx([hit.score for hit in hits], **CLOSE)
    assert len({hit.id for hit in hits}) == len(hits)


def expected(model, query, documents, allowed=lambda n: True):
    found = product(model, query, documents.values())
    return {f"d{n}": score for n, score in zip(documents, found.tolist(), strict=True) if allowed(n)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_lexical_search_is_the_product_of_the_models_weights(place, models, kind):
    index = Index.open(place / f"{kind}-index")
    for query, hits in zip(QUERIES, index.search_many(QUERIES, 12, mode="lexical"), strict=True):
        agree(hits, expected(models[kind], query, TEXTS), 12)
        agree(index.search(query, 12, mode="lexical"), expected(models[kind], query, TEXTS), 12)
        some = index.search(query, COUNT, mode="lexical", filter="year > 2006")
        agree(some, expected(models[kind], query, TEXTS, lambda n: n % 10 > 6), COUNT)
        assert some


def test_a_hybrid_search_adds_it_to_the_vectors(place, models):
    index = Index.open(place / "splade-index", config=SearchConfig(depth=COUNT, weight=0.4))
    vectors = encode(tiny_static(), list(TEXTS.values()), "document", Policy())
    for query in QUERIES:
        dense = vectors @ encode(tiny_static(), [query], "query", Policy())[0]
        words = product(models["splade"], query, TEXTS.values())
        both = 0.4 * (dense + 1) / (dense.max() + 1) + 0.6 * words / words.max()
        hits = index.search(query, 9, mode="hybrid", explain=True)
        agree(hits, {f"d{n}": score for n, score in enumerate(both.tolist())}, 9)
        for hit in hits:
            why = hit.explanation
            assert why.lexical == pytest.approx(words[int(hit.id[1:])], **CLOSE)
            assert sum(why.matched.values()) == pytest.approx(why.lexical, rel=1e-5)


def test_what_matched_is_told_in_tokens(place, models):
    hit = Index.open(place / "unicoil-index").search("stone river", 1, mode="lexical", explain=True)[0]
    own = models["unicoil"]
    asked, stored = own.weights("query", ["stone river"])[0], own.weights("document", [hit.text])[0]
    names = own.model.tokenizer.convert_ids_to_tokens
    shares = {names(int(n)): float(asked[n] * stored[n]) for n in np.flatnonzero(asked * stored)}
    assert hit.explanation.matched == pytest.approx(shares, **CLOSE)
    assert {"stone", "river"} & set(shares)


def test_why_not_and_judged_queries(place, models, tmp_path):
    index = Index.open(place / "splade-index")
    scores = expected(models["splade"], QUERIES[0], TEXTS)
    order = sorted(scores, key=scores.get, reverse=True)
    said = index.why_not(QUERIES[0], order[50], mode="lexical")
    assert (said.stage, said.lexical_place) == ("words", 51)
    assert index.why_not(QUERIES[0], order[0], filter="year > 3000", mode="lexical").stage == "filter"
    judged = [{"query": text, "positive": TEXTS[n]} for n, text in enumerate(q for q, _ in pairs(60))]
    (tmp_path / "judged.jsonl").write_text("".join(json.dumps(one) + "\n" for one in judged))
    dataset = as_dataset(tmp_path / "judged.jsonl")
    lines = [
        {"_id": key, "text": text} for key, text in zip(dataset.documents.ids, dataset.documents.texts, strict=True)
    ]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = IndexConfig(sparse=str(place / "splade" / "model"))
    indexing.build(str(tmp_path / "own.jsonl"), place / "model", tmp_path / "own", config=config)
    own = Index.open(tmp_path / "own", place / "model")
    asked = dataset.judged("train")
    texts = [dataset.queries.texts[number] for number in asked.queries]
    one = models["splade"].weights("query", texts)
    other = models["splade"].weights("document", list(dataset.documents.texts))
    ranks = np.argsort(np.argsort(-(one @ other.T), kind="stable")) + 1
    best = np.array([min(row[relevant]) for row, relevant in zip(ranks, asked.documents, strict=True)])
    reciprocal = np.where(best <= 10, 1 / best, 0)
    found = evaluate_index(own, dataset, "train", metrics=["mrr@10"], mode="lexical").metrics["mrr@10"]
    assert found == pytest.approx(reciprocal.mean(), abs=1e-3)
    assert tune_index(own, dataset, "train").queries > 20


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "update", "delete", "compact"]), st.sets(st.integers(0, 30), min_size=1)),
    min_size=1, max_size=8,
)  # fmt: skip


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_any_changes_leave_the_products_of_what_is_there(place, models, tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("changed")
    first = {n: TEXTS[n] for n in range(0, 30, 2)}
    config, model = IndexConfig(sparse=str(place / "splade" / "model")), place / "model"
    indexing.build(write(folder / "first.jsonl", first), model, folder / "index", config=config)
    fresh, there = iter(sentences(999, seed=7)), dict(first)
    for what, keys in steps:
        given_texts = {n: next(fresh) for n in sorted(keys)}
        if what == "update":
            given_texts = {n: text for n, text in given_texts.items() if n in there}
        if what == "delete":
            indexing.delete(folder / "index", [f"d{n}" for n in keys])
            there = {n: text for n, text in there.items() if n not in keys}
        elif what == "compact":
            indexing.compact(folder / "index")
            indexing.gc(folder / "index")
        elif given_texts:
            getattr(indexing, what)(folder / "index", write(folder / "given.jsonl", given_texts), model,
                                    sparse=SparseModel(models["splade"].model))  # fmt: skip
            there |= given_texts
    index = Index.open(folder / "index", model)
    assert set(index.generation.ids) == {f"d{n}" for n in there}
    for query in QUERIES[:3] if there else []:
        agree(index.search(query, 10, mode="lexical"), expected(models["splade"], query, there), 10)


@pytest.mark.parametrize("merged", [False, True])
def test_changes_that_encode_nothing_need_no_sparse_encoder(place, models, tmp_path, monkeypatch, merged):
    index = shutil.copytree(place / "splade-index", tmp_path / "index")
    more = {n + 1000: text for n, text in enumerate(sentences(9, seed=3))}
    for n, text in more.items() if merged else []:
        indexing.add(index, write(tmp_path / "one.jsonl", {n: text}), place / "model")
    monkeypatch.setattr("nearfar.encoder.sparse.load_sparse", None)
    indexing.delete(index, ["d0", "d7"])
    (tmp_path / "year.jsonl").write_text('{"_id": "d3", "year": 1}\n')
    indexing.update(index, str(tmp_path / "year.jsonl"), place / "model")
    indexing.compact(index)
    assert indexing.check(index).documents == COUNT - 2 + 9 * merged
    monkeypatch.undo()
    there = {n: text for n, text in (TEXTS | (more if merged else {})).items() if n not in (0, 7)}
    found = Index.open(index, place / "model").search(QUERIES[0], 12, mode="lexical")
    agree(found, expected(models["splade"], QUERIES[0], there), 12)


def test_an_interrupted_build_goes_on_with_the_weights_it_has(place, tmp_path, monkeypatch):
    monkeypatch.setattr("nearfar.pipeline.indexing.SLOW_BLOCK", 40)
    monkeypatch.setattr("nearfar.pipeline.indexing.KEPT_SECONDS", 0)
    texts, own = [], SparseModel.encode

    def counted(model, given, *others):
        texts.extend(given)
        if len(texts) > 100 and stop:
            raise KeyboardInterrupt
        return own(model, given, *others)

    monkeypatch.setattr("nearfar.encoder.sparse.SparseModel.encode", counted)
    source, config = str(place / "documents.jsonl"), IndexConfig(sparse=str(place / "splade" / "model"))
    stop = True
    with pytest.raises(Interrupted, match="80 documents are kept"):
        indexing.build(source, place / "model", tmp_path / "index", config=config)
    stop, texts[:] = False, []
    indexing.build(source, place / "model", tmp_path / "index", config=config)
    assert texts == list(TEXTS.values())[80:]
    one, other = (Index.open(path, place / "model") for path in (tmp_path / "index", place / "splade-index"))
    for query in QUERIES:
        hits = (index.search(query, 9, mode="lexical") for index in (one, other))
        assert [(hit.id, pytest.approx(hit.score, rel=1e-3)) for hit in next(hits)] == [
            (hit.id, hit.score) for hit in next(hits)
        ]
    stop, texts[:] = True, []
    with pytest.raises(Interrupted):
        indexing.build(source, place / "model", tmp_path / "new", config=config)
    stop, texts[:] = False, []
    other = IndexConfig(sparse=str(place / "unicoil" / "model"))
    indexing.build(source, place / "model", tmp_path / "new", config=other)  # another plan begins again
    assert texts == list(TEXTS.values())


def test_passages_have_weights_of_their_own(place, models, tmp_path):
    long = {n: "\n\n".join(list(TEXTS.values())[6 * n : 6 * n + 6]) for n in range(10)}
    config = IndexConfig(sparse=str(place / "splade" / "model"), passages=40)
    indexing.build(write(tmp_path / "long.jsonl", long), place / "model", tmp_path / "index", config=config)
    index = Index.open(tmp_path / "index", place / "model")
    texts = index.generation.texts
    assert len(texts) > 20
    for query in QUERIES:
        scores = product(models["splade"], query, texts)
        best = {key: max(s for s, own in zip(scores, index.generation.documents, strict=True) if own == key)
                for key in index.generation.documents}  # fmt: skip
        agree(index.search(query, 5, mode="lexical"), best, 5)


def test_a_vector_search_loads_no_sparse_encoder(place, tmp_path, monkeypatch):
    index = Index.open(place / "splade-index")
    monkeypatch.setattr("nearfar.encoder.sparse.load_sparse", None)
    assert len(index.search(QUERIES[0], 5)) == 5
    assert len(index.search_topic(["stone"], 5)) == 5


def test_another_or_no_sparse_encoder_is_refused(place, tmp_path):
    index, known = place / "splade-index", open_index(place / "splade-index").sparse
    assert read_meta(index, KIND)["sparse"] == known
    for another in (place / "unicoil" / "model", tiny_sparse("splade", tmp_path / "seed", seed=1)):
        with pytest.raises(FingerprintMismatch, match=f"expected its own sparse encoder {known}, found .*--sparse"):
            Index.open(index, sparse=another).search("stone", mode="lexical")
    with pytest.raises(FingerprintMismatch, match="expected its own sparse encoder"):
        indexing.add(index, str(place / "documents.jsonl"), place / "model", sparse=place / "unicoil" / "model")
    with pytest.raises(BadInput, match=r"expected an index with a sparse encoder, found one of words \(BM25\)"):
        Index.open(place / "words", sparse=place / "splade" / "model")
    moved = shutil.copytree(place / "splade", tmp_path / "gone")
    config = IndexConfig(sparse=str(moved / "model"))
    indexing.build(str(place / "documents.jsonl"), place / "model", tmp_path / "index", config=config)
    before = Index.open(tmp_path / "index", place / "model").search("stone", mode="lexical")
    shutil.rmtree(moved)
    with pytest.raises(BadInput, match=f"expected its sparse encoder {known}, found nothing in .*; say where it is"):
        Index.open(tmp_path / "index", place / "model").search("stone", mode="lexical")
    again = Index.open(tmp_path / "index", place / "model", sparse=place / "splade" / "model")
    assert again.search("stone", mode="lexical") == before


def test_damage_is_found(place, tmp_path):
    index = shutil.copytree(place / "splade-index", tmp_path / "index")
    file = index / "words" / "1" / "counts.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(BadInput, match=r"counts\.npy"):
        indexing.check(index)


def test_the_command_line(place, tmp_path, monkeypatch):
    monkeypatch.chdir(place)
    build = ("index", "build", "--model", "model", "--data", "documents.jsonl", "--out", tmp_path / "index")
    assert nearfar(*build, "--sparse", "splade/model").code == 0
    asked = ("search", tmp_path / "index", QUERIES[0], "--model", place / "model", "--mode", "lexical", "--json")
    assert_refused(nearfar(*build, "--overwrite", "--sparse", "model"), ["expected a sparse encoder"])
    monkeypatch.chdir(tmp_path)  # it is found from any folder
    done = nearfar(*asked, "--filter", "year > 2004", "--explain")
    hits = Index.open(place / "splade-index").search(QUERIES[0], 5, mode="lexical", filter="year > 2004")
    assert [hit["id"] for hit in json.loads(done.out)["hits"]] == [hit.id for hit in hits]
    assert nearfar(*asked, "--sparse", place / "splade" / "model").code == 0
    assert_refused(nearfar(*asked, "--sparse", place / "unicoil" / "model"), ["expected its own sparse encoder"])
    assert_refused(nearfar(*asked[:5], "--sparse", place / "splade" / "model"), ["--mode lexical or hybrid"])
    said = nearfar(*asked[:-1], "--why-not", "d3")
    assert said.out.startswith(("words: ", "found: "))
    added = nearfar("index", "add", tmp_path / "index", "--data", place / "documents.jsonl", "--model", place / "model")
    assert f"{COUNT} replaced" in added.out
