"""Frozen vectors of a model measured otherwise than by retrieval: graded pairs, classification, clustering."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sklearn.model_selection import train_test_split

from nearfar.core.errors import BadInput
from nearfar.data.config import DataConfig
from nearfar.data.graded import Graded, Triple, read_graded
from nearfar.data.labelled import Labelled, LabelledSet, Pair, read_labelled
from nearfar.diagnose.geometry import unit
from nearfar.encoder.encode import open_store
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.precision import choose_policy
from nearfar.encoder.reshape import open_encoder
from nearfar.evaluate.correlation import Correlation, CorrelationDifference, Floats, correlate, correlation_difference
from nearfar.evaluate.probes import Classification, Clustering, classify, cluster
from nearfar.evaluate.statistics import Comparison, compare
from nearfar.pipeline.config import LEXICAL
from nearfar.pipeline.evaluate import Space, shortened
from nearfar.pipeline.progress import Reporter, Silent

Model = str | Path | SentenceTransformer | Encoder
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Measured = Correlation | Classification | Clustering
KEPT = "train"


class SetOf(Protocol[T_co]):
    """Data by split, with what was done to get them."""

    @property
    def name(self) -> str: ...

    @property
    def splits(self) -> Mapping[str, T_co]: ...

    @property
    def notices(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class StsResult:
    """A model's correlation with graded pairs; beside it the base's, and what is between them, where one was named."""

    model: Correlation
    base: Correlation | None = None
    difference: CorrelationDifference | None = None

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return _record(self.model, self.base, self.difference)


@dataclass(frozen=True)
class ClassificationResult:
    """What a linear probe tells from a model's vectors; beside it the same of a base, over the same test texts."""

    model: Classification
    base: Classification | None = None
    difference: Comparison | None = None  # of accuracy

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return _record(self.model, self.base, self.difference)


@dataclass(frozen=True)
class ClusteringResult:
    """How k-means on a model's vectors finds the labels; beside it the same of a base."""

    model: Clustering
    base: Clustering | None = None

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return _record(self.model, self.base, None)


Result = StsResult | ClassificationResult | ClusteringResult


def evaluate_sts(
    model: Model,
    data: str | Path | Iterable[Triple | Mapping[str, Any]],
    *,
    split: str = "test",
    base: Model | None = None,
    config: DataConfig | None = None,
    layers: int | None = None,
    reporter: Reporter | None = None,
) -> StsResult:
    """Spearman's and Pearson's correlation of a model's similarities with the scores of pairs (Cer et al., 2017).

    Both texts of a pair are encoded as queries: neither answers the other. The similarity is the model's own.

    Args:
        data: as for `read_graded`. Pairs without splits are all measured.
        base: another model to hold against it, on the same pairs.
        layers: of the model's layers to use, counted from the first; all when left out.

    Raises:
        BadInput: data or a model cannot be read, there is no such split, it has fewer than ten pairs, or scores or
            similarities do not vary.
    """
    found = read_graded(data, config)
    pairs = _chosen(found, split, reporter := reporter or Silent())
    place = f"{found.name} {split}"
    similarities = _similarities(open_space(model, layers, reporter), pairs)
    mine = correlate(similarities, pairs.scores, seed=0, where=place)
    if base is None:
        return StsResult(mine)
    others = _similarities(open_space(base, None, reporter), pairs)
    difference = correlation_difference(similarities, others, pairs.scores, seed=0)
    return StsResult(mine, correlate(others, pairs.scores, seed=0, where=place), difference)


def evaluate_classification(
    model: Model,
    data: str | Path | Iterable[Pair | Mapping[str, Any]],
    *,
    split: str = "test",
    base: Model | None = None,
    config: DataConfig | None = None,
    layers: int | None = None,
    reporter: Reporter | None = None,
) -> ClassificationResult:
    """Accuracy and macro F1 of a logistic regression on a model's frozen vectors, normalised to length 1.

    It learns from the split train. Data without the split that is measured give a share of train for it, of each label
    as many, drawn with `config.seed`. Texts are encoded as queries.

    Args:
        data: as for `read_labelled`.
        base: another model to hold against it, on the same texts.
        layers: of the model's layers to use, counted from the first; all when left out.

    Raises:
        BadInput: data or a model cannot be read, there is no such split and none can be made, or the training texts
            have fewer than two labels.
    """
    config, reporter = config or DataConfig(), reporter or Silent()
    found = _with_test(read_labelled(data, config), split, config)
    for notice in found.notices:
        reporter.say(f"data: {notice}")
    learned, asked = (_split(found, name) for name in (KEPT, split))

    def probe(space: Space) -> Classification:
        train, test = ((_unit_vectors(space, part), part.labels) for part in (learned, asked))
        return classify(train, test, seed=config.seed, where=f"{found.name} {KEPT}")

    mine = probe(open_space(model, layers, reporter))
    if base is None:
        return ClassificationResult(mine)
    other = probe(open_space(base, None, reporter))
    return ClassificationResult(mine, other, compare(mine.right, other.right, seed=0))


def evaluate_clustering(
    model: Model,
    data: str | Path | Iterable[Pair | Mapping[str, Any]],
    *,
    split: str = "test",
    base: Model | None = None,
    config: DataConfig | None = None,
    layers: int | None = None,
    reporter: Reporter | None = None,
) -> ClusteringResult:
    """V-measure of k-means on a model's frozen vectors, normalised to length 1, with as many clusters as labels.

    The mean over five seeds. Texts are encoded as queries; those of data without splits are all measured.

    Args:
        data: as for `read_labelled`.
        base: another model to hold against it, on the same texts.
        layers: of the model's layers to use, counted from the first; all when left out.

    Raises:
        BadInput: data or a model cannot be read, there is no such split, or it has fewer than two labels.
    """
    found = read_labelled(data, config)
    texts = _chosen(found, split, reporter := reporter or Silent())

    def probe(space: Space) -> Clustering:
        return cluster(_unit_vectors(space, texts), texts.labels, where=f"{found.name} {split}")

    mine = probe(open_space(model, layers, reporter))
    return ClusteringResult(mine, None if base is None else probe(open_space(base, None, reporter)))


def _record(model: Measured, base: Measured | None, difference: Any) -> dict[str, Any]:
    other = {} if base is None else {"base": base.record()}
    return {**model.record(), **other, **({} if difference is None else {"difference": asdict(difference)})}


def open_space(model: Model, layers: int | None, reporter: Reporter) -> Space:
    """The encoder of a model with all that embedding takes.

    Raises:
        BadInput: it is BM25, or cannot be read.
    """
    if model == LEXICAL:
        raise BadInput.at(LEXICAL, expected="a model that gives vectors", found="BM25, which gives none",
                          do="name a run, a model folder or a base")  # fmt: skip
    policy = choose_policy()
    encoder = open_encoder(model, shortened(layers), policy.device)
    return Space(encoder, policy, open_store(encoder), reporter)


def _similarities(space: Space, pairs: Graded) -> Floats:
    """The model's similarity of the texts of each pair, (n,)."""
    first, second = (space.vectors(texts, "query", "encoding") for texts in (pairs.first, pairs.second))
    similarities: Floats = (first.astype(np.float64) * second).sum(axis=1)
    return similarities


def _unit_vectors(space: Space, part: Labelled) -> NDArray[np.float32]:
    """Vectors of the texts, of length 1 whatever the model's similarity, (n, d)."""
    return unit(space.vectors(part.texts, "query", "encoding"))


def _chosen(data: SetOf[T], split: str, reporter: Reporter) -> T:
    """The texts of a split; those of a source without splits are all measured, and it is said."""
    for notice in data.notices:
        reporter.say(f"data: {notice}")
    if split == "test" and tuple(data.splits) == (KEPT,):
        reporter.say("data: no test split: all of it is measured")
        return data.splits[KEPT]
    return _split(data, split)


def _split(data: SetOf[T], split: str) -> T:
    if split not in data.splits:
        found = ", ".join(data.splits) or "none"
        raise BadInput.at(
            data.name, expected=f"a split '{split}'", found=found, do="add it, or choose another with --split"
        )
    return data.splits[split]


def _with_test(data: LabelledSet, split: str, config: DataConfig) -> LabelledSet:
    """The data with the split that is asked for, made of train where it is missing."""
    if split in data.splits or KEPT not in data.splits or split not in ("dev", "test"):
        return data
    fraction = config.test_fraction if split == "test" else config.dev_fraction
    rows = _stratified(data.splits[KEPT], fraction, config.seed, data.name)
    parts = {name: data.splits[KEPT].rows(part) for name, part in zip((KEPT, split), rows, strict=True)}
    notice = f"made {split} ({len(parts[split]):,} texts, of each label its share) out of train with seed {config.seed}"
    return replace(data, splits={**data.splits, **parts}, notices=(*data.notices, notice))


def _stratified(part: Labelled, fraction: float, seed: int, name: str) -> list[list[int]]:
    """Rows that stay in train, and rows of the other split."""
    counts = Counter(part.labels)
    label, count = min(counts.items(), key=lambda item: item[1])
    if len(counts) > 1 and count < 2:
        raise BadInput.at(name, expected="two texts or more of each label, to make a test split",
                          found=f"{count} of '{label[:60]}'",
                          do="give more, or files named train and test")  # fmt: skip
    try:
        rows: list[list[int]] = train_test_split(
            list(range(len(part))), test_size=fraction, random_state=seed, stratify=part.labels
        )
    except ValueError:  # a share with fewer texts than there are labels
        raise BadInput.at(name, expected="texts enough for a test split with every label in it",
                          found=f"{len(part)} of {len(counts)} labels",
                          do="raise test_fraction, give more, or files named train and test") from None  # fmt: skip
    return rows
