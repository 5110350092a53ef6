"""The data sets that several benchmarks train on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # imports numpy, which reads the number of threads when it starts
    from nearfar.data.dataset import Dataset

SHARED = Path(__file__).parents[2] / "shared" / "data"
STDLIB = "stdlib"


def data_set(name: str, folder: Path) -> Dataset:
    """The standard library of this Python, or a BEIR set in `folder`."""
    from nearfar.data.read import as_dataset
    from nearfar.data.stdlib import stdlib_dataset

    return stdlib_dataset() if name == STDLIB else as_dataset(folder / name)


def cut(dataset: Dataset, pairs: int, seed: int = 0) -> Dataset:
    """The data set with at most so many of its training pairs, drawn; all with 0."""
    import numpy as np

    from nearfar.data.dataset import Pairs

    train = dataset.splits["train"].relevant
    kept = np.sort(np.random.default_rng(seed).permutation(len(train))[: pairs or len(train)])
    part = Pairs(train.queries[kept], train.documents[kept], train.scores[kept])
    return replace(dataset, splits={**dataset.splits, "train": part})
