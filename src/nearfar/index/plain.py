"""Vectors read from Lance's files where they lie, number after number: in a fifth of the time of Lance's own taking."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import Any, Self

import numpy as np
from lance.file import LanceFileReader
from numba import types
from numpy.typing import NDArray

from nearfar.core.compiled import compiled
from nearfar.index.places import Addresses

MOST_FILES = 256  # held open
WILL_NEED: Any = getattr(os, "POSIX_FADV_WILLNEED", 0)
NOT_FROM_DISK: Any = getattr(os, "RWF_NOWAIT", 0)
FRAGMENT_BITS = 32  # of an address: the fragment above them, the place in it below

Vectors = NDArray[np.float32]
Numbers = NDArray[np.int64]

fadvise: Any = types.ExternalFunction("posix_fadvise", types.int32(types.int32, types.int64, types.int64, types.int32))
pread: Any = types.ExternalFunction("pread", types.int64(types.int32, types.uintp, types.int64, types.int64))
preadv2: Any = types.ExternalFunction(
    "preadv2", types.int64(types.int32, types.uintp, types.int32, types.int64, types.int32)
)


@compiled()
def read_at(files: Numbers, starts: Numbers, rows: Vectors) -> int:
    """Fill rows (n, d) from places in files; how many were read before one could not be.

    What memory has of the files is taken from there. From the first that is not, the disk is asked for all of them at
    once, which costs a call of the system each.
    """
    width, known = rows.shape[1] * 4, 0
    part = np.empty(2, np.uint64)  # where to, and how many bytes
    part[1] = width
    for row in range(len(rows)):
        part[0] = rows[row].ctypes.data
        if preadv2(files[row], part.ctypes.data, 1, starts[row], NOT_FROM_DISK) != width:
            break
        known += 1
    for row in range(known, len(rows)):
        fadvise(files[row], starts[row], width, WILL_NEED)
    for row in range(known, len(rows)):
        if pread(files[row], rows[row].ctypes.data, width, starts[row]) != width:
            return row
    return len(rows)


@dataclass(frozen=True)
class PlainVectors:
    """The pages of a column of vectors in the files of a table."""

    dimension: int
    firsts: Addresses  # (p,) of the first row of each page, rising
    offsets: NDArray[np.int64]  # (p,) byte of its file at which a page begins
    files: tuple[FileIO, ...]  # (p,) of each page

    @classmethod
    def of(cls, dataset: Any, column: str, dimension: int) -> Self | None:
        """The pages of a dataset's column; None where the files are elsewhere, too many, or hold anything but numbers.

        Whether the numbers are the right ones is for the caller to compare.
        """
        folder, fragments = Path(dataset.uri) / "data", dataset.get_fragments()
        if len(fragments) > MOST_FILES or not folder.is_dir():
            return None
        field = next(each.id() for each in dataset.lance_schema.fields() if each.name() == column)
        pages = [page for fragment in fragments for page in _pages(fragment, field, folder, dimension * 4)]
        if any(page is None for page in pages):
            return None
        pages.sort(key=lambda page: page[0])
        firsts, offsets, files = zip(*pages, strict=True) if pages else ((), (), ())
        return cls(dimension, np.array(firsts, np.uint64), np.array(offsets, np.int64), files)

    def at(self, addresses: Addresses) -> Vectors:
        """Vectors (n, d) of the rows at these addresses, in the order given."""
        width = self.dimension * 4
        page = np.searchsorted(self.firsts, addresses, side="right") - 1
        starts = self.offsets[page] + (addresses - self.firsts[page]).astype(np.int64) * width
        files = self._descriptors[page]
        found = np.empty((len(starts), self.dimension), np.float32)
        read = read_at(files, starts, found) if sys.platform == "linux" else 0
        for row in range(read, len(starts)):  # raises what the system says of a row that cannot be read
            part = os.pread(int(files[row]), width, int(starts[row]))
            if len(part) != width:
                raise OSError("a file that is cut short")
            found[row] = np.frombuffer(part, np.float32)
        return found

    @cached_property
    def _descriptors(self) -> Numbers:
        return np.array([file.fileno() for file in self.files], np.int64)


def _pages(fragment: Any, field: int, folder: Path, width: int) -> Iterator[Any]:
    """First address, offset and file of each page of a fragment's column; None for what is not plain."""
    data = next(file for file in fragment.data_files() if field in file.fields)
    path, column = folder / data.path, data.column_indices[data.fields.index(field)]
    about = LanceFileReader(str(path)).metadata()
    file, row = FileIO(path), 0
    for page in about.columns[column].pages:
        rows, rest = divmod(page.buffers[0].size, width) if len(page.buffers) == 1 else (0, 1)
        yield None if rest else ((fragment.fragment_id << FRAGMENT_BITS) + row, page.buffers[0].position, file)
        row += rows
    if row != about.num_rows:
        yield None
