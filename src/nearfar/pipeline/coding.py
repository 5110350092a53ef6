"""What codecs are fitted to and measured on: a run's index, its queries by its model, and their judgments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfar.compress.check import check_vectors
from nearfar.compress.codec import Sample, Vectors
from nearfar.compress.learning import DEFAULT, Learning
from nearfar.core.artifact import identity
from nearfar.core.errors import BadInput
from nearfar.core.ragged import Ragged
from nearfar.data.cloze import ClozeConfig, passages
from nearfar.data.dataset import Dataset, Judged, Pairs, Texts
from nearfar.data.read import as_dataset
from nearfar.encoder.encode import open_store
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.load import load_encoder
from nearfar.encoder.precision import choose_policy
from nearfar.evaluate.run import Run as Ranking
from nearfar.evaluate.statistics import Share, share
from nearfar.index.codes import CodedIndex, rescored
from nearfar.index.exact import check_space
from nearfar.index.generation import KIND, Generation, open_index
from nearfar.pipeline.config import MAIN_METRIC, FitConfig
from nearfar.pipeline.evaluate import DEPTH, Evaluation, Space, scored, tasks_of, texts_of, with_split
from nearfar.pipeline.progress import Reporter
from nearfar.pipeline.run import Run

METRICS = (MAIN_METRIC, "recall@100")
RESCORED = f"rescored_{MAIN_METRIC}"  # the main metric after the codes' first DEPTH are ranked by the full vectors
MOST_QUERIES = 20_000  # that codecs are fitted to


@dataclass(frozen=True)
class Asked:
    """Judged queries, and what the full vectors answer."""

    vectors: Vectors  # (Q, d)
    judged: Judged
    full: Evaluation


@dataclass(frozen=True)
class Measured:
    """What codes answer, beside the full vectors."""

    metrics: dict[str, float]  # and RESCORED
    kept: dict[str, Share]  # of the full vectors' metrics

    def record(self) -> dict[str, Any]:
        """As JSON; the interval is that of the main metric's share."""
        main = self.kept[MAIN_METRIC]
        shares = {f"retained_{name}": part.value for name, part in self.kept.items()}
        return {**self.metrics, **shares, "interval": [main.low, main.high]}


@dataclass(frozen=True)
class Bench:
    """A run's index and model, and a data set whose documents are those of the index."""

    index: Generation
    identity: str  # of the index
    dataset: Dataset
    encoder: Encoder
    reporter: Reporter

    @classmethod
    def open(cls, run: str | Path, data: Any, reporter: Reporter) -> Bench:
        """Open a run, and its data or others.

        Raises:
            BadInput: there is no run, no index or no data, or the index holds none of the data's documents.
            FingerprintMismatch: the model is not the one the index was made with.
        """
        opened = Run.open(run)
        index = open_index(opened.path / "index")
        check_vectors(index.vectors, index.ids)
        encoder = load_encoder(opened.path / "model", choose_policy().device)
        check_space(index.fingerprint, encoder.fingerprint())
        dataset = on_index(_data(opened, data), index)
        return cls(index, identity(opened.path / "index", KIND), dataset, encoder, reporter)

    @cached_property
    def space(self) -> Space:
        """The model, with what it takes to encode by it."""
        return Space(self.encoder, choose_policy(), open_store(self.encoder), self.reporter)

    @cached_property
    def vectors(self) -> Vectors:
        """The index's vectors (D, d) in memory: they are read many times, and torch takes none that are read-only."""
        return np.array(self.index.vectors)

    def sample(self, *, learned: bool, unlabelled: bool, learning: Learning = DEFAULT) -> Sample:
        """What a codec is fitted on.

        Args:
            learned: whether it needs queries.
            unlabelled: queries are passages of the documents, and nobody knows their answers.
            learning: how a learned codec learns.

        Raises:
            BadInput: there are no queries.
        """
        if not learned:
            return Sample(self.vectors, self.vectors[:0])
        if unlabelled:
            drawn = _drawn(len(made := [one.text for one in passages(_bare(self.index), ClozeConfig())]))
            return self._sample([made[row] for row in drawn], (), None, learning)
        judged = self.judged("train")
        drawn = _drawn(len(judged.queries))
        rows, answers = judged.queries[drawn], judged.documents.take(drawn)
        texts, tasks = texts_of(self.dataset.queries, rows), tasks_of(self.dataset.queries, rows)
        return self._sample(texts, tasks, answers, learning)

    def _sample(self, texts: Sequence[str], tasks: Sequence[str], answers: Ragged | None, learning: Learning) -> Sample:
        queries = self.space.vectors(texts, "query", "encoding training queries", tasks)
        good = np.flatnonzero(np.isfinite(queries).all(axis=1) & queries.any(axis=1))
        if not len(good):
            raise BadInput.at(self.dataset.name, expected="training queries to fit codes to", found="none",
                              do="give others with --data, or --unlabelled for documents of eight words")  # fmt: skip
        known = None if answers is None else answers.take(good)
        return Sample(self.vectors, queries[good], known, learning=learning)

    def asked(self, split: str) -> Asked:
        """The judged queries of a split, encoded and answered by the full vectors.

        Raises:
            BadInput: it has none, or the full vectors answer none of them.
        """
        return self.answered(self.judged(split))

    def answered(self, judged: Judged) -> Asked:
        """These queries, encoded and answered by the full vectors."""
        texts, tasks = (of(self.dataset.queries, judged.queries) for of in (texts_of, tasks_of))
        queries = self.space.vectors(texts, "query", "encoding queries", tasks)
        found = self.index.search(queries, DEPTH, self.index.fingerprint)
        full = scored(Ranking.ranked(*found), judged, METRICS)
        if not full.metrics[MAIN_METRIC]:
            raise BadInput.at(self.dataset.name, expected="queries that the model answers", found=f"{MAIN_METRIC} 0 "
                              "with full vectors", do="measure on others with --data")  # fmt: skip
        return Asked(queries, judged, full)

    def judged(self, split: str) -> Judged:
        if split not in self.dataset.splits or not len(self.dataset.splits[split].relevant):
            raise BadInput.at(self.dataset.name, expected=f"{split} queries with an answer in the index", found="none",
                              do="give others with --data")  # fmt: skip
        return self.dataset.judged(split)


def measured(coded: CodedIndex, asked: Asked, vectors: Vectors) -> Measured:
    """What codes of documents (D, d) answer to the same queries as these full vectors did, and the share of it."""
    rows, scores = coded.search(asked.vectors, DEPTH, coded.fingerprint)
    result = scored(Ranking.ranked(rows, scores), asked.judged, METRICS)
    again = Ranking.ranked(*rescored(asked.vectors, rows, vectors.__getitem__, DEPTH))
    second = scored(again, asked.judged, (MAIN_METRIC,))
    kept = {name: share(result.per_query[name], asked.full.per_query[name]) for name in METRICS
            if asked.full.metrics[name]}  # fmt: skip
    kept[RESCORED] = share(second.per_query[MAIN_METRIC], asked.full.per_query[MAIN_METRIC])
    return Measured({**result.metrics, RESCORED: second.metrics[MAIN_METRIC]}, kept)


def on_index(dataset: Dataset, index: Generation) -> Dataset:
    """The data set with the index's documents for its own, which are found there by their texts.

    Pairs with a document that is not in the index are left out.
    """
    if list(dataset.documents.texts) == list(index.texts):
        return dataset
    row_of = {text: row for row, text in reversed(list(enumerate(index.texts)))}
    rows = np.array([row_of.get(text, -1) for text in dataset.documents.texts], np.int32)
    splits = {split: _moved(pairs, rows) for split, pairs in dataset.splits.items()}
    return replace(dataset, documents=Texts(index.ids, index.texts), splits=splits, grades=None)


def _moved(pairs: Pairs, rows: NDArray[np.int32]) -> Pairs:
    """The pairs with `rows[document]` for their documents; without those that are -1 and the second of equal ones."""
    moved = replace(pairs, documents=rows[pairs.documents])
    keys = np.stack([moved.queries, moved.documents])
    first = np.zeros(len(pairs), np.bool_)
    first[np.unique(keys, axis=1, return_index=True)[1]] = True
    return moved.where(first & (moved.documents >= 0))


def _bare(index: Generation) -> Dataset:
    """The documents of an index, and no query."""
    return Dataset("documents", Texts((), ()), Texts(index.ids, index.texts), {"train": Pairs.of([])})


def _drawn(count: int) -> NDArray[np.int64]:
    """Rows of at most so many, in order; the same ones each time."""
    return np.sort(np.random.default_rng(0).permutation(count)[:MOST_QUERIES])


def _data(run: Run, data: Any) -> Dataset:
    """The data given, or those of the run, with a test split."""
    config = FitConfig.parse(run.record.get("config", {}), "run").data
    own = run.path / "data" / "beir"
    source = data if data is not None else str(own) if own.exists() else config.source
    if source is None:
        raise BadInput.at(run.path, expected="a run that says what it was trained on", found="none",
                          do="give --data FILE_OR_FOLDER")  # fmt: skip
    dataset = as_dataset(source, config)
    return with_split(with_split(dataset, "test", config), "dev", config)
