"""The data sets, cut to a size the peer can train on, and the exam that both sides sit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from measure import say
from nearfar.data.dataset import Dataset
from nearfar.encoder.encode import encode
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.load import load_encoder
from nearfar.encoder.precision import Policy, choose_policy
from nearfar.evaluate.run import Run
from nearfar.index.exact import top_k
from nearfar.pipeline.config import EvalConfig
from nearfar.pipeline.dev import DevSet, dev_set
from nearfar.pipeline.evaluate import scored

METRIC, DEPTH = "ndcg@10", 10

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Exam:
    """Test queries, and the documents they are asked of: all relevant ones and a sample of the others."""

    sample: DevSet
    encoder: Encoder  # takes the weights that are examined: inside a training loop a model has kernels of its own
    policy: Policy

    @classmethod
    def of(cls, dataset: Dataset, queries: int, documents: int) -> Exam:
        """Draw it from the test split; the same one for the same data and sizes."""
        test = replace(dataset, splits={"dev": dataset.splits["test"]})
        sample = dev_set(test, EvalConfig(dev_queries=queries, dev_documents=documents), seed=0)
        return cls(sample, load_encoder("minilm"), choose_policy("cpu"))

    def scores(self, model: SentenceTransformer) -> Scores:
        """nDCG@10 of each query."""
        self.encoder.model.load_state_dict(model.state_dict())
        queries = encode(self.encoder, self.sample.queries, "query", self.policy)
        documents = encode(self.encoder, self.sample.documents, "document", self.policy)
        return scored(Run.ranked(*top_k(queries, documents, DEPTH)), self.sample.judged, [METRIC]).per_query[METRIC]


@dataclass
class Curve:
    """nDCG@10 over the seconds of training; the clock stands still while it is measured."""

    name: str
    exam: Exam
    points: list[tuple[float, float]] = field(default_factory=list)
    last: Scores = field(default_factory=lambda: np.empty(0))
    _started: float = field(default_factory=time.perf_counter)

    def measure(self, model: SentenceTransformer) -> float:
        """Add a point; returns the mean."""
        with self._paused() as seconds:
            self.last = self.exam.scores(model)
        self.points.append((seconds, float(self.last.mean())))
        say(f"{self.name}: {seconds:.0f} s, {METRIC} {self.points[-1][1]:.4f}")
        return self.points[-1][1]

    @property
    def seconds(self) -> float:
        """Of training until the last point."""
        return self.points[-1][0]

    def reaches(self, value: float) -> float | None:
        """Seconds at the first point that is not below `value`, if there is one."""
        return next((seconds for seconds, metric in self.points if metric >= value), None)

    @contextmanager
    def _paused(self) -> Iterator[float]:
        now = time.perf_counter()
        yield now - self._started
        self._started += time.perf_counter() - now
