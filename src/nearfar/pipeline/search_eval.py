"""A search measured as it answers, and set by judged queries: how much words count, and when there is no answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from nearfar.core.errors import BadInput
from nearfar.data.dataset import Dataset, Judged
from nearfar.evaluate.metrics import measure
from nearfar.evaluate.run import Judgments, Run
from nearfar.index.settings import Settings
from nearfar.pipeline.config import MAIN_METRIC, METRICS
from nearfar.pipeline.evaluate import DEPTH, Evaluation, judged_queries, scored, tasks_of, texts_of
from nearfar.pipeline.learn_to_rank import Asking, LearnedRanking
from nearfar.pipeline.learn_to_rank import learn_to_rank as learned_ranking
from nearfar.pipeline.progress import Reporter, Silent
from nearfar.search.config import Mode
from nearfar.search.fusion import PAD, tuned_weight
from nearfar.search.index import Index
from nearfar.search.ranking import Asked, Ranking
from nearfar.search.stages import mode_for

if TYPE_CHECKING:
    from nearfar.encoder.pair_scorer import Scorer

MODES: tuple[Mode, ...] = ("dense", "lexical", "hybrid")
FEWEST = 20  # judged queries to learn from


@dataclass(frozen=True)
class Tuned:
    """What judged queries say of an index's search."""

    weight: float  # share of the dense score in a hybrid one
    answered_from: Mapping[str, float]  # mode → score from which the best answer is likelier right than wrong
    queries: int
    learned: LearnedRanking | None = None  # where an order was to be learned

    def record(self) -> dict[str, Any]:
        """For JSON."""
        own = {"weight": self.weight, "answered_from": dict(self.answered_from), "queries": self.queries}
        return own if self.learned is None else {**own, "learned": self.learned.record()}


def evaluate_index(
    index: Index,
    dataset: Dataset,
    split: str = "test",
    metrics: Sequence[str] = METRICS,
    mode: Mode | None = None,
    *,
    rerank: Scorer | None = None,
) -> Evaluation:
    """Measure a search over an index by the judged queries of a split, whose documents it finds by their ids.

    Args:
        mode, rerank: as of `Index.search`; what reranks answers each query by itself, as it does in a search.

    Raises:
        BadInput: the data set has no such split, or none of its documents is in the index, or as of `Index.search`.
    """
    mode = mode_for(mode, rerank)
    judged = judged_queries(dataset, split)
    depth = max(DEPTH, *(int(name.partition("@")[2]) for name in metrics))
    documents, asked = _documents(index, dataset), _asked(index, dataset, judged, mode)
    stage = index.stage(rerank)
    if stage is None:
        rows, scores = index.ranking.ranked(asked, depth, mode)
        return scored(Run.ranked(documents[rows], scores), judged, metrics)
    found = [stage.best(index.ranking, asked.one(query), depth, mode, None)[0] for query in range(len(asked.texts))]
    rows = np.stack([np.pad(own, (0, depth - len(own)), constant_values=PAD) for own in found])
    return scored(Run(documents[rows], np.zeros(rows.shape, np.float32)), judged, metrics)  # in order: two scales


def tune_index(
    index: Index,
    dataset: Dataset,
    split: str = "dev",
    *,
    learn_to_rank: bool = False,
    rerank: str | None = None,
    reporter: Reporter | None = None,
) -> Tuned:
    """Learn from judged queries how an index is to be searched, and keep it in the place of what was learned before.

    The weight of a hybrid search; from which score on there is an answer; and, where that is asked for, an order of
    documents, which is kept if it is better than the hybrid search's.

    Args:
        learn_to_rank: from what both searches say of each document.
        rerank: a model that reads the first documents of that order, for a second one.

    Raises:
        BadInput: as of `evaluate_index` and `learn_to_rank`, or there are too few queries, or the disk cannot take it.
    """
    judged = judged_queries(dataset, split)
    if len(judged.queries) < FEWEST:
        raise BadInput.at(dataset.name, expected=f"{FEWEST} judged queries or more", found=str(len(judged.queries)),
                          do="judge more, or use the defaults")  # fmt: skip
    documents, judgments = _documents(index, dataset), Judgments(judged.documents, judged.gains)
    ranking, asked = index.ranking, _asked(index, dataset, judged, "hybrid")

    def metric(rows: NDArray[np.int32], scores: NDArray[np.float32]) -> NDArray[np.float64]:
        return measure(Run.ranked(documents[rows], scores), judgments, [MAIN_METRIC])[MAIN_METRIC]

    weight = tuned_weight(ranking.candidates(asked, DEPTH), metric, lowest=ranking.lowest)
    tuned = replace(ranking, config=ranking.config.model_copy(update={"weight": weight}))
    found = {mode: _threshold(tuned, asked, judged, documents, mode) for mode in MODES}
    answered_from: dict[str, float] = {mode: score for mode, score in found.items() if score is not None}
    order = None
    if learn_to_rank:
        asking = Asking(tuned, asked, judgments, documents)
        order = learned_ranking(asking, rerank, lambda: index.encoder, reporter or Silent())
    kept = order if order is not None and order.kept else None
    settings = Settings(weight=weight, answered_from=answered_from, learned=None if kept is None else kept.order)
    settings.save(ranking.generation.path, kept.files if kept else {})
    return Tuned(weight, answered_from, len(judged.queries), order)


def _threshold(
    ranking: Ranking, asked: Asked, judged: Judged, documents: NDArray[np.int32], mode: Mode
) -> float | None:
    """Score at which the best answer is as likely right as wrong, by logistic regression; None where all are alike."""
    rows, scores = ranking.ranked(asked, 1, mode)
    relevant = [documents[row] in set(judged.documents[number].tolist()) for number, row in enumerate(rows[:, 0])]
    if len(set(relevant)) < 2:
        return None
    fitted = LogisticRegression(C=1e6).fit(scores, relevant)
    slope = float(fitted.coef_[0, 0])
    return float(-fitted.intercept_[0] / slope) if slope > 0 else None


def _asked(index: Index, dataset: Dataset, judged: Judged, mode: Mode) -> Asked:
    texts = texts_of(dataset.queries, judged.queries)
    tasks = tasks_of(dataset.queries, judged.queries)
    return index.asked(texts, tasks[0] if len(set(tasks)) == 1 else "", mode)


def _documents(index: Index, dataset: Dataset) -> NDArray[np.int32]:
    """Of each row of the index the document of the data set, and numbers of their own for others; last, of no row."""
    known = {key: row for row, key in enumerate(dataset.documents.ids)}
    found = np.array([known.get(key, -1) for key in (*index.generation.documents, "")], np.int32)
    if not (found >= 0).any():
        raise BadInput.at(dataset.name, expected="documents of the index", found="no id that is in it",
                          do="check that both are of the same documents")  # fmt: skip
    others = np.flatnonzero(found < 0)
    found[others] = len(known) + np.arange(len(others))
    found[PAD] = PAD
    return found
