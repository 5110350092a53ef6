"""Evaluation during training: dev queries against a fixed sample of the corpus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearfar.core.ragged import Ragged
from nearfar.data.dataset import Dataset, Judged
from nearfar.encoder.encode import encode
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.precision import Policy
from nearfar.evaluate.run import Run
from nearfar.index.exact import top_k
from nearfar.pipeline.config import MAIN_METRIC, EvalConfig
from nearfar.pipeline.evaluate import scored, tasks_of, texts_of
from nearfar.text.token_store import TokenStore

Standing = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # vectors (n, d) -> what their codes stand for


@dataclass(frozen=True)
class DevSet:
    """Dev queries, the sampled documents, and judgments in the sample's numbering."""

    queries: list[str]
    tasks: list[str]  # of the queries, if they have any
    documents: list[str]
    judged: Judged

    def metric(self, encoder: Encoder, policy: Policy, store: TokenStore, standing: Standing | None = None) -> float:
        """nDCG@10 of `encoder` within the sample; with `standing`, of what codes of the documents stand for."""
        return float(self.scores(encoder, policy, store, standing).mean())

    def scores(
        self, encoder: Encoder, policy: Policy, store: TokenStore, standing: Standing | None = None
    ) -> NDArray[np.float64]:
        """nDCG@10 of each query within the sample, (Q,)."""
        queries = encode(encoder, self.queries, "query", policy, tasks=self.tasks, store=store)
        documents = encode(encoder, self.documents, "document", policy, store=store)
        run = Run.ranked(*top_k(queries, standing(documents) if standing else documents, 10))
        return scored(run, self.judged, [MAIN_METRIC]).per_query[MAIN_METRIC]


def dev_set(dataset: Dataset, config: EvalConfig, seed: int) -> DevSet:
    """Draw the dev set used during training; the same one for the same data, settings and seed."""
    generator = np.random.default_rng(seed)
    judged = dataset.judged("dev")
    chosen = np.sort(generator.permutation(len(judged.queries))[: config.dev_queries])
    relevant = [judged.documents[int(i)] for i in chosen]
    gains = [judged.gains[judged.documents.offsets[i] : judged.documents.offsets[i + 1]] for i in chosen]
    documents = _sample(np.concatenate(relevant), len(dataset.documents), config.dev_documents, generator)
    inside = Ragged.of([np.searchsorted(documents, row).astype(np.int32) for row in relevant])
    queries = judged.queries[chosen]
    return DevSet(
        texts_of(dataset.queries, queries),
        tasks_of(dataset.queries, queries),
        texts_of(dataset.documents, documents),
        Judged(queries, inside, np.concatenate(gains)),
    )


def _sample(
    relevant: NDArray[np.int32], documents: int, size: int, generator: np.random.Generator
) -> NDArray[np.int32]:
    """Sorted rows: all relevant ones, and others up to `size`."""
    needed = np.unique(relevant)
    others = np.setdiff1d(generator.permutation(documents)[:size], needed)[: max(0, size - len(needed))]
    return np.sort(np.concatenate([needed, others])).astype(np.int32)
