"""A folder of one table for each split."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from nearfar.core.errors import BadInput
from nearfar.data.dataset import SPLITS

T = TypeVar("T")
SPLIT_NAMES: Mapping[str, str] = {
    "train": "train",
    "dev": "dev",
    "validation": "dev",
    "valid": "dev",
    "val": "dev",
    "test": "test",
}
# train.csv, pairs-train.tsv, train-00000-of-00004.parquet
NAMED = re.compile(rf"(?:.*[-_.])?({'|'.join(SPLIT_NAMES)})(-\d+-of-\d+)?(?:\.[a-z]+)+", re.IGNORECASE)


def split_files(folder: Path, suffixes: Iterable[str]) -> dict[str, list[Path]]:
    """The files of each split in `folder`, those of one split in order of name.

    Raises:
        BadInput: no file names a split, or two files claim the same one.
    """
    files = [path for path in listed(folder) if path.name.lower().endswith(tuple(suffixes))]
    found: dict[str, list[Path]] = {}
    for path in files:
        if match := NAMED.fullmatch(path.name):
            split = found.setdefault(SPLIT_NAMES[match[1].lower()], [])
            if split and not match[2]:
                raise _claimed_twice(folder, split[0], path)
            split.append(path)
    if not found:
        raise _nothing(folder, files)
    return found


def in_order(splits: Mapping[str, T]) -> dict[str, T]:
    """`splits` as train, dev, test."""
    return {split: splits[split] for split in SPLITS if split in splits}


def listed(folder: Path) -> list[Path]:
    """The entries of `folder` by name.

    Raises:
        BadInput: it may not be read.
    """
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise BadInput.at(
            folder,
            expected="a readable folder",
            found=str(error.strerror or error),
            do="check the path and its permissions",
        ) from None


def _claimed_twice(folder: Path, first: Path, second: Path) -> BadInput:
    return BadInput.at(
        folder, expected="one file a split", found=f"{first.name} and {second.name}", do="remove or rename one of them"
    )


def _nothing(folder: Path, files: list[Path]) -> BadInput:
    found = ", ".join(path.name for path in files[:5]) or "nothing readable"
    return BadInput.at(
        folder,
        expected="a BEIR folder or files named train, dev, test (.jsonl, .csv, .tsv, .parquet)",
        found=found,
        do="rename the files, or give one file",
    )
