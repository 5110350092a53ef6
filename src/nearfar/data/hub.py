"""Data sets of the Hugging Face hub: the one source that uses the network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nearfar.core.errors import BadInput, MissingExtra
from nearfar.data.folder import SPLIT_NAMES

NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


def is_hub_name(source: str) -> bool:
    """Whether `source`, which is no existing path, reads as `name` or `owner/name` rather than as a path."""
    # ".txt" is a file's suffix, ".1" the version in a name
    return bool(NAME.fullmatch(source)) and not Path(source).suffix[1:].isalpha()


def hub_splits(name: str) -> dict[str, Any]:
    """The splits of a hub data set, each an iterable of dicts.

    Raises:
        MissingExtra: the package `datasets` is not installed.
        BadInput: the data set cannot be had.
    """
    loaded = _download(name)
    splits = {SPLIT_NAMES[split]: rows for split, rows in loaded.items() if split in SPLIT_NAMES}
    if not splits:
        raise BadInput.at(
            name, expected="a split named train, validation or test", found=", ".join(loaded), do="choose another set"
        )
    return splits


def _download(name: str) -> Mapping[str, Any]:
    try:
        import datasets  # noqa: PLC0415 -- optional extra
    except ImportError:
        raise MissingExtra.of(f"'{name}' (no file or folder here, so a Hugging Face data set)", "hub") from None
    try:
        loaded: Mapping[str, Any] = datasets.load_dataset(name)
    except Exception as error:  # whatever the libraries below raise, the user needs one line
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput.at(
            name,
            expected="a file, a folder or a Hugging Face data set",
            found=f"none ({reason})",
            do="check the name and the network",
        ) from None
    return loaded
