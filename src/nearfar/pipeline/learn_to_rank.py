"""Learning to rank the documents of an index from judged queries, held against its tuned hybrid search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfar.core.errors import BadInput
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.pair_scorer import PairScorer, load_scorer
from nearfar.evaluate.metrics import measure
from nearfar.evaluate.run import Judgments, Run
from nearfar.evaluate.statistics import Comparison, compare, decide, interval, verdict
from nearfar.index.settings import LearnedOrder
from nearfar.pipeline.config import MAIN_METRIC
from nearfar.pipeline.progress import Reporter
from nearfar.search.fusion import PAD, convex
from nearfar.search.learned import CHEAP, READ, lightgbm, pool, predicted, with_read
from nearfar.search.ranking import Asked, Ranking
from nearfar.search.rerank import scores_read, texts_of
from nearfar.search.signals import signals

FEWEST = 50  # judged queries
DEPTH = 100  # documents of each of the two rankings
READ_DEPTH = 30  # documents that a model reads
FOLDS = 5
ROUNDS = 100
TREES = {"objective": "lambdarank", "learning_rate": 0.05, "num_leaves": 7, "min_data_in_leaf": 20, "verbosity": -1,
         "lambdarank_truncation_level": 20, "num_threads": 1, "deterministic": True, "seed": 0}  # fmt: skip

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Asking:
    """Judged queries as an index takes them."""

    ranking: Ranking  # with the tuned weight
    asked: Asked
    judgments: Judgments
    documents: Ints  # of the data set, of each row of the index, PAD behind the last

    def judgments_of(self, query: int) -> Judgments:
        """Those of one query."""
        own = slice(*self.judgments.documents.offsets[query : query + 2])
        return Judgments(self.judgments.documents.rows(query, query + 1), self.judgments.gains[own])


@dataclass(frozen=True)
class Example:
    """One query's candidates."""

    rows: Ints  # (n,)
    signals: Floats  # (n, 15)
    hybrid: Floats  # (n,)
    gains: NDArray[np.float64]  # (n,)
    texts: Sequence[str] = ()  # kept where a model is to read them


@dataclass(frozen=True)
class Score:
    """A mean over queries with its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Score:
        """Of values a query, (Q,)."""
        return cls(float(values.mean()), *interval(values, seed=0))


@dataclass(frozen=True)
class LearnedRanking:
    """A learned order beside the hybrid search it is to replace."""

    kept: bool  # it is better: the paired test is sure
    hybrid: Score  # nDCG@10
    learned: Score  # of queries that it did not learn from
    comparison: Comparison
    verdict: str
    order: LearnedOrder
    files: dict[str, str]  # of the trees

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {"kept": self.kept, "hybrid": {MAIN_METRIC: asdict(self.hybrid)},
                "learned": {MAIN_METRIC: asdict(self.learned)}, "comparison": asdict(self.comparison),
                "verdict": self.verdict, "reader": self.order.reader or None}  # fmt: skip


def learn_to_rank(
    asking: Asking, rerank: str | None, encoder: Callable[[], Encoder], reporter: Reporter
) -> LearnedRanking:
    """Learn an order from judged queries, by LambdaMART (Burges, 2010) over what both searches say of each candidate.

    Measured by cross-validation: each query is ranked by trees that saw none of its fold. With a model that reads, a
    second stage learns from the first documents of the first stage's order, that of the other folds.

    Args:
        rerank: the costly model of the second stage; None for the first alone.

    Raises:
        BadInput: there are too few queries, no candidate of them is relevant, or the model cannot be had.
        MissingExtra: LightGBM is not installed.
    """
    count = len(asking.asked.texts)
    if count < FEWEST:
        raise BadInput.at("learning to rank", expected=f"{FEWEST} judged queries or more", found=str(count),
                          do="judge more, or tune without --learn-to-rank")  # fmt: skip
    lightgbm()  # before any work
    scorer = load_scorer(rerank, encoder) if rerank else None
    examples = [_example(asking, query, keep_texts=scorer is not None) for query in range(count)]
    if not any((example.gains > 0).any() for example in examples):
        raise BadInput.at("learning to rank", expected="relevant documents among the candidates", found="none",
                          do="check that the judged documents are those of the index")  # fmt: skip
    fold = np.random.default_rng(0).permutation(count) % FOLDS
    gains = [example.gains for example in examples]
    cheap, orders = _crossed([example.signals for example in examples], gains, fold)
    files, order = {CHEAP: cheap}, LearnedOrder()
    if scorer is not None:
        files[READ], orders = _second(asking, scorer, examples, orders, fold, reporter)
        place = str(Path(str(rerank)).resolve()) if Path(str(rerank)).exists() else str(rerank)
        order = LearnedOrder(reader=place, fingerprint=scorer.fingerprint(), depth=READ_DEPTH)
    learned = _measured(asking, examples, orders)
    hybrid = _measured(asking, examples, [example.hybrid for example in examples])
    found = compare(learned, hybrid, seed=0)
    said = verdict(found, "nDCG@10", names=("learned, cross-validated", "tuned hybrid"))
    return LearnedRanking(decide(found) == "better", Score.of(hybrid), Score.of(learned), found, said, order, files)


def _example(asking: Asking, query: int, *, keep_texts: bool) -> Example:
    ranking, one = asking.ranking, asking.asked.one(query)
    candidates = pool(ranking, one, DEPTH)
    rows = candidates.rows[0][candidates.rows[0] != PAD]
    texts = texts_of(ranking, rows)
    hybrid = convex(candidates, ranking.weight, lowest=ranking.lowest)[0, : len(rows)]
    gains = asking.judgments_of(query).gains_of(asking.documents[rows][None])[0]
    return Example(rows, signals(ranking, one, candidates, texts), hybrid, gains, texts if keep_texts else ())


def _fitted(features: Sequence[Floats], gains: Sequence[NDArray[np.float64]]) -> Any:
    """Trees that rank each query's documents by their gains, which count as nDCG counts them."""
    package = lightgbm()
    values, labels = np.unique(np.concatenate([np.zeros(1), *gains]), return_inverse=True)
    data = package.Dataset(np.concatenate(features), labels[1:], group=[len(part) for part in gains])
    return package.train({**TREES, "label_gain": values.tolist()}, data, ROUNDS)


def _crossed(
    features: Sequence[Floats], gains: Sequence[NDArray[np.float64]], fold: NDArray[np.integer]
) -> tuple[str, list[Floats]]:
    """Trees of all queries as text, and scores of each query's documents by trees of the other folds."""
    scores = [np.zeros(len(part), np.float32) for part in features]
    for number in range(FOLDS):
        others = np.flatnonzero(fold != number).tolist()
        trees = _fitted([features[i] for i in others], [gains[i] for i in others])
        for query in np.flatnonzero(fold == number).tolist():
            scores[query] = predicted(trees, features[query]) if len(features[query]) else scores[query]
    whole: str = _fitted(features, gains).model_to_string()
    return whole, scores


def _second(
    asking: Asking, scorer: PairScorer, examples: Sequence[Example], orders: Sequence[Floats],
    fold: NDArray[np.integer], reporter: Reporter,
) -> tuple[str, list[Floats]]:  # fmt: skip
    """Trees of the second stage as text, and scores of all documents with those that were read above the others."""
    heads = [np.argsort(-order, kind="stable")[:READ_DEPTH] for order in orders]
    features = []
    with reporter.bar("reading", len(examples)) as advance:
        for query, (example, order, head) in enumerate(zip(examples, orders, heads, strict=True)):
            read = scores_read(scorer, asking.asked.texts[query], [example.texts[row] for row in head], None)
            features.append(with_read(example.signals[head], order[head], read))
            advance(1, "")
    gains = [example.gains[head] for example, head in zip(examples, heads, strict=True)]
    whole, again = _crossed(features, gains, fold)
    joined = []
    for order, head, scores in zip(orders, heads, again, strict=True):
        behind = order - order.max(initial=0) + scores.min(initial=0) - 1  # below all that were read
        behind[head] = scores
        joined.append(behind)
    return whole, joined


def _measured(asking: Asking, examples: Sequence[Example], scores: Sequence[Floats]) -> NDArray[np.float64]:
    """nDCG@10 of each query, (Q,)."""
    width = max(len(example.rows) for example in examples)
    documents = np.full((len(examples), width), PAD, np.int32)
    worth = np.zeros((len(examples), width), np.float32)
    for query, (example, own) in enumerate(zip(examples, scores, strict=True)):
        documents[query, : len(own)], worth[query, : len(own)] = asking.documents[example.rows], own
    return measure(Run.ranked(documents, worth), asking.judgments, [MAIN_METRIC])[MAIN_METRIC]
