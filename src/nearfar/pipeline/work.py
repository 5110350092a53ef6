"""What the stages of a run hand on, and what each kind of stage must do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from nearfar.data.dataset import Dataset, Pairs
from nearfar.encoder.encoder import Encoder
from nearfar.pipeline.dev import DevSet
from nearfar.pipeline.session import Session

PAIRS = "train.npz"  # in a stage's folder: the training pairs with negatives


@dataclass(frozen=True)
class State:
    """What the stages so far have left."""

    encoder: Encoder
    dataset: Dataset  # to train on
    own: Dataset  # the same without negatives that a stage mined
    trained: tuple[Path, ...] = ()  # model folders, one for each stage of training
    reranker: Path | None = None  # the cross-encoder trained last
    teachers: tuple[str, ...] = ()  # models that have scored the data; none: those of the run's settings


@dataclass(frozen=True)
class Made:
    """The output of a stage, not yet on disk."""

    record: Mapping[str, Any]  # JSON-able; dev metrics as `before` and `after`, a curve as `progress`
    write: Callable[[Path], object]  # into a folder of its own


def keep_pairs(pairs: Pairs, folder: Path) -> None:
    """Write training pairs into the folder of a stage."""
    arrays: dict[str, Any] = asdict(pairs)
    np.savez(folder / PAIRS, **arrays)


def with_pairs(dataset: Dataset, folder: Path) -> Dataset:
    """`dataset` with the training pairs that a stage has kept in its folder."""
    with np.load(folder / PAIRS) as arrays:
        pairs = Pairs(**arrays)
    return replace(dataset, splits={**dataset.splits, "train": pairs})


@dataclass(frozen=True)
class Work(ABC):
    """One stage of a run."""

    session: Session
    dev: DevSet
    state: State
    stage: Any  # the settings, of the kind's own class
    number: int

    together: ClassVar[bool] = False  # whether all processes take part

    @property
    @abstractmethod
    def title(self) -> str:
        """What it is about to do, in a few words."""

    @abstractmethod
    def inputs(self) -> Sequence[str]:
        """Digests of everything that the output depends on."""

    @abstractmethod
    def make(self, name: str) -> Made:
        """Do the work of the stage of this `name`."""

    @abstractmethod
    def after(self, folder: Path) -> State:
        """What the next stage works on, given the folder of the output."""

    def clear(self, name: str) -> None:  # noqa: B027  # most kinds leave nothing
        """Remove what was needed to go on inside the stage."""
