"""Arrays of files that another may have written: no pickle, and none that holds more than it weighs."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfar.core.plain_file import check_plain, understood

AGAIN = "build the index again, or its codes"

Array = NDArray[Any]


def mapped_array(path: Path) -> Array:
    """The array of a .npy file, mapped into memory.

    Raises:
        BadInput: there is none; one of objects would be a pickle.
    """
    with understood(path, "an array", AGAIN):
        check_plain(path)
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def archived_arrays(path: Path) -> dict[str, Array]:
    """The arrays of a .npz file, by their names.

    Raises:
        BadInput: it holds something else, or is compressed: a little of it could fill the memory.
    """
    with understood(path, "an archive of arrays", AGAIN):
        check_plain(path)
        with zipfile.ZipFile(path) as archive:
            whole = sum(part.file_size for part in archive.infolist())
        if whole > path.stat().st_size:
            raise ValueError(f"arrays of {whole:,} bytes in fewer")
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
