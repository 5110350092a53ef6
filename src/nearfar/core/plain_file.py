"""Files read whole that another may have written: none that never ends, is too long, or holds more than it weighs."""

from __future__ import annotations

import json
import stat
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfar.core.errors import BadInput, excerpt

MOST_TEXT_BYTES = 64 << 20

Array = NDArray[Any]


def plain_text(path: Path, most_bytes: int = MOST_TEXT_BYTES) -> str:
    """The text of a file.

    Raises:
        FileNotFoundError: there is none.
        OSError: it cannot be read.
        ValueError: it is a device, a pipe or a folder, is too long, or is no UTF-8.
    """
    check_plain(path, most_bytes)
    return path.read_text(encoding="utf-8")


def check_plain(path: Path, most_bytes: int | None = None) -> None:
    """Refuse what is no file, or has more bytes.

    Raises:
        FileNotFoundError, OSError, ValueError: as of `plain_text`.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("no file, but a folder, a device or a pipe")
    if most_bytes is not None and found.st_size > most_bytes:
        raise ValueError(f"{found.st_size:,} bytes, more than {most_bytes:,}")


def plain_json(path: Path, most_bytes: int = MOST_TEXT_BYTES) -> Any:
    """The value of a JSON file.

    Raises:
        FileNotFoundError, OSError: as of `plain_text`.
        ValueError: as of `plain_text`, or it is no JSON, or nested too deep.
    """
    try:
        return json.loads(plain_text(path, most_bytes))
    except RecursionError:
        raise ValueError("values nested too deep") from None


def mapped_array(path: Path) -> Array:
    """The array of a .npy file, mapped into memory.

    Raises:
        BadInput: there is none; one of objects would be a pickle.
    """
    try:
        check_plain(path)
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except Exception as error:  # a header is parsed as Python, and fails like it
        raise _no_array(path, error) from None


def archived_arrays(path: Path) -> dict[str, Array]:
    """The arrays of a .npz file, by their names.

    Raises:
        BadInput: it holds something else, or is compressed: a little of it could fill the memory.
    """
    try:
        check_plain(path)
        with zipfile.ZipFile(path) as archive:
            whole = sum(part.file_size for part in archive.infolist())
        if whole > path.stat().st_size:
            raise ValueError(f"arrays of {whole:,} bytes in fewer")
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except Exception as error:
        raise _no_array(path, error) from None


def _no_array(path: Path, error: Exception) -> BadInput:
    return BadInput.at(
        path, expected="an array", found=excerpt(str(error), 200), do="build the index again, or its codes"
    )
