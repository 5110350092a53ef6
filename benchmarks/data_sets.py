"""The data sets that several benchmarks train on."""

from __future__ import annotations

import sysconfig
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # imports numpy, which reads the number of threads when it starts
    from nearfar.data.dataset import Dataset

SHARED = Path(__file__).parents[2] / "shared" / "data"
STDLIB = "stdlib"
PACKAGES = "packages"
MOST_UNITS = 20_000  # of packages: documents and queries are fewer, for what is trivial or says the same is left out
TESTS = frozenset({"tests", "test", "testing", "__pycache__"})


def data_set(name: str, folder: Path) -> Dataset:
    """The standard library of this Python, that with its installed packages, or a BEIR set in `folder`."""
    from nearfar.data.read import as_dataset
    from nearfar.data.stdlib import stdlib_dataset

    if name == PACKAGES:
        return packages_dataset()
    return stdlib_dataset() if name == STDLIB else as_dataset(folder / name)


def packages_dataset(seed: int = 0) -> Dataset:
    """Documented functions of the standard library and of the packages installed here, drawn; as many as fit."""
    import random

    from nearfar.data.stdlib import stdlib_units, units_dataset
    from nearfar.text.code_units import code_units, python_files

    files = python_files(Path(sysconfig.get_path("purelib")), TESTS)
    units = [*stdlib_units(), *(unit for path, module in files for unit in code_units(path, module))]
    drawn = random.Random(seed).sample(units, min(MOST_UNITS, len(units)))
    return units_dataset(drawn, PACKAGES, seed)


def cut(dataset: Dataset, pairs: int, seed: int = 0) -> Dataset:
    """The data set with at most so many of its training pairs, drawn; all with 0."""
    import numpy as np

    from nearfar.data.dataset import Pairs

    train = dataset.splits["train"].relevant
    kept = np.sort(np.random.default_rng(seed).permutation(len(train))[: pairs or len(train)])
    part = Pairs(train.queries[kept], train.documents[kept], train.scores[kept])
    return replace(dataset, splits={**dataset.splits, "train": part})
