"""Artifacts to try things on, and what must be true of them."""

from pathlib import Path

import pytest

from nearfar.core.artifact import read_manifest, writing
from nearfar.core.errors import BadInput

KIND = "thing"


def make(path: Path, text: str = "old", *, overwrite: bool = False, meta=None) -> None:
    with writing(path, KIND, {"text": text} if meta is None else meta, overwrite=overwrite) as folder:
        (folder / "data.txt").write_text(text)
        (folder / "deep").mkdir()
        (folder / "deep" / "numbers.bin").write_bytes(bytes(range(200)))


def holds(path: Path, text: str) -> bool:
    return read_manifest(path, KIND) == {"text": text} and (path / "data.txt").read_text() == text


def refusal(do) -> str:
    with pytest.raises(BadInput) as caught:
        do()
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())
