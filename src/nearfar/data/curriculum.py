"""Easy pairs before hard ones: in which order pairs come, and how much each weighs."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_validator

from nearfar.core.config import Config
from nearfar.core.errors import BadInput
from nearfar.data.batches import BatchSource
from nearfar.text.words import words

Floats = NDArray[np.float64]


class CurriculumConfig(Config):
    by: Literal["none", "score", "overlap"] = "none"
    """What makes a pair easy: its score, or the share of the query's words that stand in the document (overlap)."""
    stages: int = Field(default=4, ge=1)
    """Parts of an epoch, the easiest pairs in the first, shuffled within each; 1 shuffles all."""
    epochs: int = Field(default=1, ge=1)
    """Epochs in stages; later ones are shuffled as a whole."""
    progressive: float = Field(default=0.0, ge=0, lt=1)
    """The easiest pair weighs 1 + this in the loss at the start and 1 - this at the end; the hardest vice versa."""

    @field_validator("progressive")
    @classmethod
    def _of_easy_and_hard(cls, value: float, others: ValidationInfo) -> float:
        if value and others.data.get("by") == "none":
            raise ValueError("0, or train.curriculum.by to say what is easy")
        return value


def ease(source: BatchSource, config: CurriculumConfig) -> Floats | None:
    """Rank of each training pair from 0 (hardest) to 1 (easiest), (n,); nothing when there is no curriculum.

    Raises:
        BadInput: all pairs are equally easy.
    """
    if config.by == "none":
        return None
    values = source.scores if config.by == "score" else _overlap(source)
    if len(values) < 2 or values.min() == values.max():
        raise BadInput.at("train.curriculum.by", expected=f"pairs whose {config.by}s differ", found="none",
                          do="set another, or none")  # fmt: skip
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = np.cumsum(counts) - (counts + 1) / 2  # from 0; of equal values the mean
    return ranks[place] / (len(values) - 1)


def progressive_weights(ease_of_pairs: Floats, strength: float, done: float) -> Floats:
    """1 + strength · (1 − 2 done) · (2 ease − 1): the mean over all pairs is 1 at any time.

    Attention moves from the easy to the hard pairs as training goes on, in the spirit of PEG (Wu et al., 2023).

    Args:
        ease_of_pairs: (n,), from 0 to 1.
        strength: below 1.
        done: share of the training, from 0 to 1.
    """
    return 1 + strength * (1 - 2 * done) * (2 * ease_of_pairs - 1)


def _overlap(source: BatchSource) -> Floats:
    """Share of the different words of each pair's query that are in its document, (n,)."""
    used = np.unique(np.concatenate([source.queries, source.documents])).tolist()
    terms = {text: frozenset(words(source.texts[text])) for text in used}
    pairs = zip(source.queries.tolist(), source.documents.tolist(), strict=True)
    return np.array([len(terms[query] & terms[document]) / max(1, len(terms[query])) for query, document in pairs])
