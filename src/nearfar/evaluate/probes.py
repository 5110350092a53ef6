"""What simple learners find in frozen vectors: classes that a linear model tells apart, clusters that k-means makes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, v_measure_score

from nearfar.core.errors import BadInput
from nearfar.evaluate.statistics import interval

Vectors = NDArray[np.float32]
SEEDS = 5  # of k-means
STEPS = 1000  # of the logistic regression, at most
STRENGTH = 3.0  # vectors of length 1 have small entries: told 91.9 % of the dev texts of banking77, 1.0 90.3 %


@dataclass(frozen=True)
class Classification:
    """How well the labels of texts that were not learned from are told."""

    accuracy: float
    low: float  # of the 95 % interval of accuracy, over the test texts
    high: float
    macro_f1: float
    labels: int
    trained_on: int  # texts
    right: NDArray[np.float64]  # (n,) of each test text, 1 where its label was told

    def record(self) -> dict[str, Any]:
        """For JSON."""
        metrics = {"accuracy": self.accuracy, "macro_f1": self.macro_f1}
        counts = {"texts": len(self.right), "labels": self.labels, "trained_on": self.trained_on}
        return {"metrics": metrics, "intervals": {"accuracy": (self.low, self.high)}, **counts}


@dataclass(frozen=True)
class Clustering:
    """How well k-means, with as many clusters as labels, finds the labels again."""

    v_measure: float  # mean over the seeds
    per_seed: tuple[float, ...]
    labels: int
    texts: int

    def record(self) -> dict[str, Any]:
        """For JSON."""
        metrics, seeds = {"v_measure": self.v_measure}, list(self.per_seed)
        return {"metrics": metrics, "per_seed": seeds, "texts": self.texts, "labels": self.labels}


def classify(
    train: tuple[Vectors, Sequence[str]],
    test: tuple[Vectors, Sequence[str]],
    *,
    strength: float = STRENGTH,
    seed: int = 0,
    where: str = "texts",
) -> Classification:
    """Accuracy and macro F1 of a logistic regression from vectors (n, d) to their n labels (Alain and Bengio, 2017).

    Macro F1 is the mean over the labels that are in the test texts or told of them.

    Args:
        strength: C of the regression: 1 / strength is the weight of its L2 penalty.
        where: the texts are from, for errors.

    Raises:
        BadInput: there are no test texts, or the training texts have fewer than two labels.
    """
    (vectors, labels), (asked, truth) = train, test
    kinds = _several(labels, where)
    if not len(truth):
        raise BadInput.at(where, expected="texts to test on", found="none", do="give more of them")
    model = LogisticRegression(C=strength, max_iter=STEPS, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a probe that needs more steps is told by its accuracy
        told = model.fit(vectors, np.asarray(labels)).predict(asked)
    right = (told == np.asarray(truth)).astype(np.float64)
    low, high = interval(right, seed=seed, resamples=999)
    macro = float(f1_score(truth, told, average="macro", zero_division=0))
    return Classification(float(right.mean()), low, high, macro, kinds, len(labels), right)


def cluster(vectors: Vectors, labels: Sequence[str], *, seeds: int = SEEDS, where: str = "texts") -> Clustering:
    """V-measure of k-means on vectors (n, d) with their n labels, the mean over seeds (Rosenberg and Hirschberg, 2007).

    Raises:
        BadInput: there are fewer than two labels.
    """
    kinds = _several(labels, where)
    found = [v_measure_score(labels, _clusters(vectors, kinds, seed)) for seed in range(seeds)]
    return Clustering(float(np.mean(found)), tuple(float(value) for value in found), kinds, len(labels))


def _clusters(vectors: Vectors, count: int, seed: int) -> NDArray[np.int32]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different vectors than labels
        clusters: NDArray[np.int32] = KMeans(count, n_init=1, random_state=seed).fit_predict(vectors)
    return clusters


def _several(labels: Sequence[str], where: str) -> int:
    kinds = sorted(set(labels))
    if len(kinds) < 2:
        found = f"'{kinds[0][:60]}' alone" if kinds else "none"
        raise BadInput.at(where, expected="two or more labels", found=found, do="check the column of labels")
    return len(kinds)
