"""In-context examples against a choice by hand, the same in training, evaluation and search."""

import json

import numpy as np
import pytest

import nearfar
from nearfar.core.errors import BadInput
from nearfar.data.batches import batch_source
from nearfar.data.read import from_records
from nearfar.encoder.encode import encode, open_store
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.examples import FOLDER, PAIRS, Examples
from nearfar.encoder.load import load_encoder
from nearfar.encoder.precision import Policy
from nearfar.encoder.prompts import PromptsConfig
from nearfar.encoder.save import save_encoder
from nearfar.pipeline.evaluate import evaluate
from nearfar.pipeline.session import instructed
from nearfar.search.index import Index
from nearfar.text.bm25 import BM25
from nearfar.train.config import TrainConfig
from nearfar.train.data import training_data
from tiny_models import pairs, save_tiny_decoder

PAIRS_SHOWN = (
    ("open the river gate", ("the gate opens with a lever",)),
    ("open the house door", ("the door opens with a key", "the lever")),
    ("close the river gate", ("the gate opens with a lever",)),
    ("paint the house green", ("take green paint", "the door opens with a key")),
)
EXAMPLES = Examples(PAIRS_SHOWN, 2, 3)


def chosen_by_hand(examples, query):
    """All of the pairs by score, without the query's own and those that show an answer to it."""
    order, scores = BM25([asked for asked, _ in examples.pairs]).search([query], len(examples.pairs))
    own = [answers for asked, answers in examples.pairs if asked.casefold() == query.casefold()]
    known = {answer for answers in own for answer in answers}
    found = []
    for row, score in zip(order[0].tolist(), scores[0].tolist(), strict=True):
        asked, answers = examples.pairs[row]
        if score > 0 and asked.casefold() != query.casefold() and answers[0] not in known:
            found.append(row)
    return found[: examples.count]


def words_of(texts):
    return [len(text.split()) for text in texts]


@pytest.mark.parametrize("query", ["open the gate", "Open the  river gate", "paint the house green", "nothing known"])
def test_the_nearest_are_chosen_and_never_the_answer(query):
    assert EXAMPLES.chosen([" ".join(query.split())]) == [chosen_by_hand(EXAMPLES, " ".join(query.split()))]


def test_a_query_is_not_shown_itself_nor_its_answers():
    assert EXAMPLES.chosen(["open the river gate"]) == [[1]]  # 0 is itself, 2 shows its answer
    assert EXAMPLES.chosen(["PAINT the house green"]) == [[]]  # 1 shows an answer
    alike = [(f"open gate {n}", ("same",)) for n in range(30)]
    many = Examples((*alike, ("gate", ("other",))), 2, 3)
    assert many.chosen(["open gate 3"]) == [[30]]


def test_the_template():
    (prefix,) = EXAMPLES.prefixes(["open a gate"], ["Find: "], words_of, 100)
    first, second = chosen_by_hand(EXAMPLES, "open a gate")
    shown = ["open the river", "open the house", "close the river", "paint the house"]
    documents = ["the gate opens", "the door opens", "the gate opens", "take green paint"]
    assert prefix == (
        f"Find: Query: {shown[first]}\nDocument: {documents[first]}\n"
        f"Query: {shown[second]}\nDocument: {documents[second]}\nQuery: "
    )


@pytest.mark.parametrize(("room", "count"), [(4, 0), (13, 0), (14, 1), (22, 1), (23, 2), (99, 2)])
def test_as_many_as_fit_and_the_query_whole(room, count):
    """The query takes 5 words with its name, an example 8 and one for the seam."""
    (prefix,) = EXAMPLES.prefixes(["open a new gate"], [""], words_of, room)
    assert prefix.count("Document: ") == count
    assert prefix.endswith("Query: ")


def records(count=40):
    return [{"query": q, "positive": d} for q, d in pairs(count)]


@pytest.mark.parametrize("base", ["tiny", "static", "decoder"])
def test_training_reads_the_tokens_that_are_encoded(base, request, tmp_path):
    if base == "decoder":
        encoder = load_encoder(save_tiny_decoder(tmp_path / "decoder"))
    else:
        encoder = request.getfixturevalue(base)
    source = batch_source(from_records(records()))
    encoder = instructed(encoder, PromptsConfig(query="find ", examples=2, example_words=3), source)
    store, config = open_store(encoder), TrainConfig(max_query_tokens=8)
    data = training_data(source, encoder, store, config)
    asked = np.unique(source.queries)
    cut = 0
    for text, framed in zip(asked, data.framed("query", asked), strict=True):
        query = source.texts[text]
        (prefix,) = encoder.prefixes([query], "query")
        assert prefix.count("Document: ") == 2
        assert query not in prefix
        shown, whole = (store[int(store.rows([part])[0])] for part in (prefix, prefix + query))
        limit = len(encoder.framing[0]) + len(shown) + 8  # the query has its own tokens beside those of the examples
        assert list(framed) == list(encoder.framed(whole, min(limit, encoder.max_tokens)))
        cut += len(framed) < len(encoder.framed(whole, encoder.max_tokens))
    assert data.truncated("query") == pytest.approx(cut / len(asked))


def test_prefixes_are_left_out_of_the_pooling(tiny):
    source = batch_source(from_records(records()))
    encoder = instructed(tiny, PromptsConfig(examples=1, pooled=False), source)
    texts = [q for q, _ in pairs(12)]
    prefixes = encoder.prefixes(texts, "query")
    theirs = [encoder.model.encode(text, prompt=prefix, normalize_embeddings=True)
              for prefix, text in zip(prefixes, texts, strict=True)]  # fmt: skip
    np.testing.assert_allclose(encode(encoder, texts, "query", Policy()), np.stack(theirs), atol=1e-5)
    assert len({len(prefix) for prefix in prefixes}) > 1
    assert encoder.prefixes(texts, "document") == [""] * 12


def test_saved_and_loaded_they_are_the_same(tiny, tmp_path):
    encoder = Encoder(tiny.model, EXAMPLES)
    assert encoder.fingerprint() != tiny.fingerprint()
    save_encoder(encoder, tmp_path / "model", card="")
    loaded = load_encoder(tmp_path / "model")
    assert loaded.examples == EXAMPLES
    assert loaded.fingerprint() == encoder.fingerprint()
    (tmp_path / "model" / FOLDER / PAIRS).write_text('{"query": "x"}\n')
    with pytest.raises(BadInput, match="expected the model's examples as they were written"):
        load_encoder(tmp_path / "model")


def test_a_run_shows_training_pairs_alone_everywhere(tiny_folder, tmp_path):
    train = {"epochs": 1, "batch_size": 32, "precision": "fp32"}
    config = {"train": train, "prompts": {"examples": 2, "example_words": 4, "pooled": False}}
    run = nearfar.fit(records(120), base=tiny_folder, out=tmp_path / "run", config=config)
    plain = nearfar.fit(records(120), base=tiny_folder, out=tmp_path / "plain", config={"train": train})
    assert run.metrics["base"] == plain.metrics["base"]
    rows = [json.loads(line) for line in (tmp_path / "run" / "model" / FOLDER / PAIRS).read_text().splitlines()]
    assert {row["query"] for row in rows} < {record["query"] for record in records(120)}
    assert len(rows) == 120 - 2 * 12
    again = evaluate(tmp_path / "run", records(120))
    assert again.metrics["ndcg@10"] == pytest.approx(run.metrics["model"]["ndcg@10"], abs=1e-6)
    test = {records(120)[int(row)]["query"] for row in again.queries}
    assert not test & {row["query"] for row in rows}
    index = Index.open(tmp_path / "run")
    asked = "open read q7"
    assert index.encoder.examples.chosen([asked])[0]
    with_them = index.search(asked, k=5)
    scores = encode(load_encoder(tmp_path / "run"), [asked], "query", Policy())
    without = encode(Encoder(index.encoder.model), [asked], "query", Policy())
    assert abs(scores - without).max() > 1e-4
    best, found = index.generation.search(scores, 5, index.fingerprint)
    assert [hit.id for hit in with_them] == [index.generation.ids[row] for row in best[0]]
    assert [hit.score for hit in with_them] == pytest.approx(found[0].tolist())
