"""The last stage of a search against sorting by hand, and its budget against a clock that only reading moves."""

from contextlib import nullcontext

import numpy as np
import pytest

from nearfar.core.errors import BadInput
from nearfar.data.read import as_dataset
from nearfar.encoder.precision import Policy
from nearfar.encoder.save import save_encoder
from nearfar.evaluate.metrics import measure
from nearfar.evaluate.run import Judgments, Run
from nearfar.pipeline import indexing
from nearfar.pipeline.search_eval import evaluate_index
from nearfar.search import rerank
from nearfar.search.config import SearchConfig
from nearfar.search.index import Index
from nearfar.search.rerank import READ_AT_ONCE, Budget, scores_read
from tiny_models import sentences, tiny_static

TEXTS = sentences(120, 3)
QUERIES = ["parse json list", "stone river light", "thread lock"]


class Lengths:
    """Scores a pair by the document's length, which takes a moment of a clock for each."""

    def __init__(self, seconds=1.0):
        self.now, self.seconds, self.calls = 0.0, seconds, []

    def scores(self, pairs, policy):
        assert isinstance(policy, Policy)
        self.now += self.seconds * len(pairs)
        self.calls.append(len(pairs))
        return np.array([len(document) for _, document in pairs], np.float32)

    def inference(self, policy):
        return nullcontext()

    def fingerprint(self):
        return "lengths"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rerank")
    save_encoder(tiny_static(), folder / "model", card="")
    (folder / "beir" / "qrels").mkdir(parents=True)
    lines = [f'{{"_id": "d{n}", "text": "{text}"}}\n' for n, text in enumerate(TEXTS)]
    (folder / "beir" / "corpus.jsonl").write_text("".join(lines))
    asked = [f'{{"_id": "q{n}", "text": "{text}"}}\n' for n, text in enumerate(QUERIES)]
    (folder / "beir" / "queries.jsonl").write_text("".join(asked))
    rows = [f"q{n}\td{(7 * n + step) % 120}\t1\n" for n in range(len(QUERIES)) for step in range(30)]
    (folder / "beir" / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(rows))
    indexing.build(str(folder / "beir"), folder / "model", folder / "index")
    return folder


@pytest.mark.parametrize(
    ("budget", "read"), [(None, 40), (1, 1), (1.5, 1), (2, 2), (5, 5), (9, 9), (20.5, 20), (39, 39), (1000, 40)]
)
def test_as_many_documents_are_read_as_fit(budget, read):
    scorer = Lengths()
    limit = None if budget is None else Budget.of(1000 * budget, lambda: scorer.now)
    found = scores_read(scorer, "query", TEXTS[:40], limit)
    assert found.tolist() == [len(text) for text in TEXTS[:read]]
    assert scorer.now <= (budget or 40)
    assert max(scorer.calls) <= (READ_AT_ONCE if budget else 40)
    assert scores_read(scorer, "query", [], limit).shape == (0,)


def test_a_spent_budget_reads_nothing_and_slower_reading_reads_less():
    scorer = Lengths()
    limit = Budget.of(1000, lambda: scorer.now)
    scorer.now = 2.0
    assert scores_read(scorer, "query", TEXTS, limit).shape == (0,)
    slow = Lengths(seconds=4)
    assert len(scores_read(slow, "query", TEXTS, Budget.of(10_000, lambda: slow.now))) == 2


@pytest.mark.parametrize("mode", ["dense", "lexical", "hybrid"])
def test_the_first_documents_are_in_the_order_of_the_scorer(place, mode):
    index = Index.open(place / "index", config=SearchConfig(depth=30))
    for query in QUERIES:
        before = index.search(query, 30, mode=mode)
        after = index.search(query, 12, mode=mode, rerank=Lengths(), explain=True)
        expected = sorted(range(len(before)), key=lambda place: (-len(before[place].text), place))
        assert [hit.id for hit in after] == [before[number].id for number in expected[:12]]
        assert [hit.score for hit in after] == [len(hit.text) for hit in after]
        assert all(hit.explanation for hit in after)


def test_no_more_than_the_depth_is_read(place):
    index = Index.open(place / "index", config=SearchConfig(depth=7))
    before, after = (index.search(QUERIES[1], 30, rerank=scorer) for scorer in (None, Lengths()))
    assert [hit.id for hit in after[7:]] == [hit.id for hit in before[7:]]
    assert [hit.score for hit in after[:7]] == sorted((len(hit.text) for hit in before[:7]), reverse=True)


def test_what_was_not_read_keeps_its_order_and_score(place, monkeypatch):
    scorer = Lengths()
    monkeypatch.setattr(rerank.Budget.of.__func__, "__defaults__", (lambda: scorer.now,))
    index = Index.open(place / "index", config=SearchConfig(depth=30, budget_ms=5000))
    before = index.search(QUERIES[0], 30)
    scorer.now = 0.0
    after = index.search(QUERIES[0], 30, rerank=scorer)
    read = sum(scorer.calls)
    assert read == 5
    assert sorted(hit.id for hit in after[:read]) == sorted(hit.id for hit in before[:read])
    assert [len(hit.text) for hit in after[:read]] == sorted((len(hit.text) for hit in before[:read]), reverse=True)
    assert after[read:] == before[read:]


def test_an_evaluation_is_of_the_hits_that_a_search_gives(place):
    index, dataset = Index.open(place / "index"), as_dataset(str(place / "beir"))
    judged = dataset.judged("test")
    row_of = {key: row for row, key in enumerate(dataset.documents.ids)}
    texts = [dataset.queries.texts[row] for row in judged.queries]
    rows = np.array([[row_of[hit.id] for hit in index.search(text, 100, rerank=Lengths())] for text in texts], np.int32)
    judgments = Judgments(judged.documents, judged.gains)
    expected = measure(Run(rows, np.zeros(rows.shape, np.float32)), judgments, ["ndcg@10", "recall@50"])
    found = evaluate_index(index, dataset, "test", ["ndcg@10", "recall@50"], rerank=Lengths())
    plain = evaluate_index(index, dataset, "test", ["ndcg@10", "recall@50"])
    for name, values in expected.items():
        np.testing.assert_allclose(found.per_query[name], values)
    assert found.metrics != plain.metrics


def test_without_a_learned_order_it_is_said(place):
    index = Index.open(place / "index")
    with pytest.raises(BadInput, match="expected a learned order, found none"):
        index.search("file", rerank="learned")
    with pytest.raises(BadInput, match="expected a hybrid search, found a lexical one"):
        index.search("file", mode="lexical", rerank="learned")
