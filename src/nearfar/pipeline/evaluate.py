"""How well a system retrieves: a model, or BM25, on one split of a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from nearfar.core.errors import BadInput
from nearfar.data.config import DataConfig
from nearfar.data.dataset import SPLITS, Dataset, Judged, Texts
from nearfar.data.read import Item, as_dataset
from nearfar.data.split import ensure_splits
from nearfar.encoder.config import EncoderConfig
from nearfar.encoder.encode import encode, open_store
from nearfar.encoder.encoder import Encoder, Role
from nearfar.encoder.precision import Policy, choose_policy
from nearfar.encoder.reshape import open_encoder
from nearfar.evaluate.metrics import measure
from nearfar.evaluate.run import Judgments, Run
from nearfar.evaluate.statistics import interval
from nearfar.index.exact import top_k
from nearfar.pipeline.config import METRICS, EvalConfig
from nearfar.pipeline.progress import Reporter, Silent
from nearfar.report.contents import Estimate
from nearfar.report.notebook import evaluation_html
from nearfar.text.bm25 import BM25
from nearfar.text.token_store import TokenStore

DEPTH = 100  # documents kept of each ranking; metrics with a larger cut-off raise it


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one system, their values for each query, and what it returned."""

    metrics: Mapping[str, float]
    per_query: Mapping[str, NDArray[np.float64]]  # metric → (Q,)
    run: Run
    queries: NDArray[np.int32]  # (Q,) rows of the data set's queries

    def _repr_html_(self) -> str:
        """In a notebook."""
        return evaluation_html(estimates(self.per_query), len(self.queries))


def estimates(per_query: Mapping[str, NDArray[np.float64]]) -> dict[str, Estimate]:
    """Means of metrics with their intervals, from the values for each query (Q,)."""
    return {
        name: Estimate(float(values.mean()), *interval(values, seed=0, resamples=999))
        for name, values in per_query.items()
    }


@dataclass(frozen=True)
class Space:
    """A loaded encoder with all it needs to turn texts into vectors."""

    encoder: Encoder
    policy: Policy
    store: TokenStore
    reporter: Reporter = field(default_factory=Silent)

    def vectors(self, texts: Sequence[str], role: Role, title: str, tasks: Sequence[str] = ()) -> NDArray[np.float32]:
        """Embed texts under a progress bar; `tasks` are those of queries."""
        with self.reporter.bar(title, len(texts)) as advance:
            tell = lambda done: advance(done, "")  # noqa: E731
            return encode(self.encoder, texts, role, self.policy, tasks=tasks, store=self.store, on_progress=tell)


def evaluate(
    model: str | Path | SentenceTransformer | Encoder,
    data: Dataset | str | Path | Sequence[Item],
    *,
    split: str = "test",
    metrics: Sequence[str] = METRICS,
    config: DataConfig | None = None,
    layers: int | None = None,
    reporter: Reporter | None = None,
) -> Evaluation:
    """Measure a model, or "bm25", on one split of a data set, against all its documents.

    Data without that split is split as `fit` would with the same settings.

    Args:
        layers: of the model's layers to use, counted from the first; all when left out.

    Raises:
        BadInput: the data set has no such split, or data or model cannot be read.
    """
    config, reporter = config or DataConfig(), reporter or Silent()
    names = EvalConfig.parse({"metrics": tuple(metrics)}, "options").metrics
    dataset = with_split(as_dataset(data, config), split, config)
    judged = judged_queries(dataset, split)
    policy = choose_policy()
    encoder = None if model == "bm25" else open_encoder(model, shortened(layers), policy.device)
    for notice in dataset.notices:
        reporter.say(f"data: {notice}")
    if encoder is None:
        return evaluate_bm25(dataset, judged, names)
    return evaluate_space(Space(encoder, policy, open_store(encoder), reporter), dataset, judged, names)[0]


def shortened(layers: int | None) -> EncoderConfig:
    """The settings of a model's first layers; of all where it is None."""
    return EncoderConfig.parse({} if layers is None else {"layers": layers}, "options")


def with_split(dataset: Dataset, split: str, config: DataConfig) -> Dataset:
    """`dataset`, split as `fit` would where it has no such split and can be split."""
    made = split not in dataset.splits and split in SPLITS and "train" in dataset.splits
    return ensure_splits(dataset, config) if made else dataset


def judged_queries(dataset: Dataset, split: str) -> Judged:
    """Return the judged queries of `split`; BadInput names the splits there are."""
    if split not in dataset.splits:
        found = ", ".join(dataset.splits) or "none"
        raise BadInput.at(dataset.name, expected=f"a split '{split}'", found=found, do="choose another with --split")
    return dataset.judged(split)


def evaluate_bm25(dataset: Dataset, judged: Judged, metrics: Sequence[str]) -> Evaluation:
    """Measure BM25."""
    queries = texts_of(dataset.queries, judged.queries)
    documents, scores = BM25(dataset.documents.texts).search(queries, _depth(metrics))
    return scored(Run.ranked(documents, scores), judged, metrics)


def evaluate_space(
    space: Space, dataset: Dataset, judged: Judged, metrics: Sequence[str]
) -> tuple[Evaluation, NDArray[np.float32], NDArray[np.float32]]:
    """Measure an encoder; also return the vectors of the judged queries and of all documents."""
    documents = space.vectors(dataset.documents.texts, "document", "encoding documents")
    texts, tasks = (of(dataset.queries, judged.queries) for of in (texts_of, tasks_of))
    queries = space.vectors(texts, "query", "encoding queries", tasks)
    return scored(Run.ranked(*top_k(queries, documents, _depth(metrics))), judged, metrics), queries, documents


def scored(run: Run, judged: Judged, metrics: Sequence[str]) -> Evaluation:
    """Metrics of a finished run."""
    per_query = measure(run, Judgments(judged.documents, judged.gains), metrics)
    means = {name: float(values.mean()) for name, values in per_query.items()}
    return Evaluation(means, per_query, run, judged.queries)


def texts_of(texts: Texts, rows: NDArray[np.int32]) -> list[str]:
    """The texts in these rows."""
    return [texts.texts[row] for row in rows]


def tasks_of(texts: Texts, rows: NDArray[np.int32]) -> list[str]:
    """The tasks of the texts in these rows; none when no text has one."""
    return [texts.tasks[row] for row in rows] if texts.tasks else []


def _depth(metrics: Sequence[str]) -> int:
    return max(DEPTH, *(int(name.partition("@")[2]) for name in metrics))
