"""Easy pairs before hard ones, good ones last: in which order pairs come, and how much each weighs."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from nearfar.core.config import Config
from nearfar.data.batches import BatchSource, Ids
from nearfar.data.measures import Floats, MeasureName, ranks


class AnnealConfig(Config):
    steps: float = Field(default=0.0, ge=0, lt=1)
    """Share of all steps, at the end, that takes the best pairs alone (annealing, after CodeR); 0 for none."""
    by: MeasureName = "score"
    """What makes a pair good: score, overlap, length, rarity, compression."""
    share: float = Field(default=0.25, gt=0, lt=1)
    """Share of the pairs, of each source or task where batches are of one, that these steps take."""


class CurriculumConfig(Config):
    by: Literal["none"] | MeasureName = "none"
    """What makes a pair easy: score (high), overlap (shared words), length (few), rarity (none), compression (much)."""
    stages: int = Field(default=4, ge=1)
    """Parts of an epoch, the easiest pairs in the first, shuffled within each; 1 shuffles all."""
    epochs: int = Field(default=1, ge=1)
    """Epochs in stages; later ones are shuffled as a whole."""
    progressive: float = Field(default=0.0, ge=0, lt=1)
    """The easiest pair weighs 1 + this in the loss at the start and 1 - this at the end; the hardest vice versa."""
    anneal: AnnealConfig = AnnealConfig()
    """The best pairs alone at the end."""

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
    return None if config.by == "none" else ranks(source, config.by, "train.curriculum.by")


def best(source: BatchSource, config: AnnealConfig, pairs: Ids) -> Ids:
    """Of these pairs the part that annealing takes, as many as its share, at least one; of equal ones the first.

    Raises:
        BadInput: all pairs are equally good.
    """
    order = np.argsort(-ranks(source, config.by, "train.curriculum.anneal.by")[pairs], kind="stable")
    return pairs[np.sort(order[: math.ceil(config.share * len(pairs))])]


def progressive_weights(ease_of_pairs: Floats, strength: float, done: float) -> Floats:
    """1 + strength · (1 − 2 done) · (2 ease − 1): the mean over all pairs is 1 at any time.

    Attention moves from the easy to the hard pairs as training goes on, in the spirit of PEG (Wu et al., 2023).

    Args:
        ease_of_pairs: (n,), from 0 to 1.
        strength: below 1.
        done: share of the training, from 0 to 1.
    """
    return 1 + strength * (1 - 2 * done) * (2 * ease_of_pairs - 1)
