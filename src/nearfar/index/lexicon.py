"""The words of an index's documents, or their tokens with learned weights: segments of postings that are written once,
and where their documents are now.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nearfar.core.errors import BadInput
from nearfar.core.plain_arrays import mapped_array
from nearfar.index.table import TEXT, Table
from nearfar.index.token_weights import weights_of
from nearfar.text.postings import GONE, Ints, Postings, merged
from nearfar.text.segmented_bm25 import SegmentedBM25
from nearfar.text.segmented_sparse import SegmentedSparse
from nearfar.text.segments import Segments

FOLDER = "words"  # below the index, with a folder for each segment in it
MOST_SEGMENTS = 8  # more are merged into one

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Lexicon:
    """Segments, and the row of each of their documents."""

    names: tuple[str, ...]  # of their folders
    segments: tuple[Postings, ...]
    rows: tuple[Ints, ...]  # of each segment's documents, GONE where one was deleted
    learned: bool  # weights of a sparse encoder

    @classmethod
    def begin(cls, index: Path, name: str, table: Table) -> Lexicon:
        """Write a segment of all documents of a table."""
        segment = _written(index, name, postings_of(table))
        return cls((name,), (segment,), (np.arange(len(segment), dtype=np.int32),), table.has_token_weights)

    def changed(self, index: Path, name: str, kept: Rows, new: Postings) -> Lexicon:
        """The words of some of the documents, in rising order of their rows, with those of new ones behind them.

        Args:
            name: of a segment that may have to be written.
        """
        moved = np.full(self.size + 1, GONE, np.int32)  # one more, for what is gone already
        moved[kept] = np.arange(len(kept), dtype=np.int32)
        rows = tuple(moved[part] for part in self.rows)
        if not len(new) and len(self.names) <= MOST_SEGMENTS:
            return replace(self, rows=rows)
        segments = (*self.segments, new)
        rows = (*rows, np.arange(len(kept), len(kept) + len(new), dtype=np.int32))
        if len(segments) <= MOST_SEGMENTS:
            return Lexicon((*self.names, name), (*self.segments, _written(index, name, new)), rows, self.learned)
        whole = _written(index, name, merged(segments, rows))
        return Lexicon((name,), (whole,), (np.arange(len(whole), dtype=np.int32),), self.learned)

    @property
    def size(self) -> int:
        """One more than the last row."""
        return 1 + max((int(part.max(initial=GONE)) for part in self.rows), default=GONE)

    @property
    def nbytes(self) -> int:
        """Bytes of the postings."""
        return sum(segment.size_bytes for segment in self.segments) + sum(part.nbytes for part in self.rows)

    @cached_property
    def bm25(self) -> SegmentedBM25:
        """The search over all of them, where they are words."""
        return SegmentedBM25.over(self.segments, self.rows)

    @cached_property
    def sparse(self) -> SegmentedSparse:
        """The search over all of them, where they are tokens with weights."""
        return SegmentedSparse.over(self.segments, self.rows)

    @property
    def inverted(self) -> Segments:
        """What scores documents for the terms of either."""
        return (self.sparse if self.learned else self.bm25).inverted

    def save(self, folder: Path) -> None:
        """Write into a new folder where the documents of each segment are; the segments are written already."""
        folder.mkdir(parents=True)
        for name, rows in zip(self.names, self.rows, strict=True):
            np.save(folder / f"{name}.npy", rows)

    @classmethod
    def load(cls, folder: Path, index: Path, documents: int, *, learned: bool) -> Lexicon:
        """Open what `save` wrote, for a table of so many documents.

        Raises:
            BadInput: it is damaged, or stands for others.
        """
        names = tuple(sorted((file.stem for file in folder.glob("*.npy")), key=int))
        rows = tuple(mapped_array(folder / f"{name}.npy") for name in names)
        opened = cls(names, tuple(Postings.open(index / FOLDER / name) for name in names), rows, learned)
        opened._check(folder, documents)
        return opened

    def _check(self, folder: Path, documents: int) -> None:
        """Refuse rows of other documents than a table's.

        Raises:
            BadInput: so.
        """
        for segment, rows in zip(self.segments, self.rows, strict=True):
            inside = rows.shape == (len(segment),) and rows.dtype == np.int32
            if not (inside and rows.min(initial=0) >= GONE and rows.max(initial=GONE) < documents):
                raise BadInput.at(folder, expected=f"rows of {documents:,} documents", found="others",
                                  do="build the index again")  # fmt: skip

    def files(self, index: Path) -> list[Path]:
        """The segments' files."""
        return [file for name in self.names for file in sorted((index / FOLDER / name).iterdir())]


def postings_of(table: Table, rows: Rows | None = None) -> Postings:
    """Postings of the documents in these rows of a table, or in all; the i-th is document i."""
    if table.has_token_weights:
        return Postings.weighted(weights_of(table, rows))
    texts = table.values(TEXT) if rows is None else map(str, table.take(rows, [TEXT])[TEXT].to_pylist())
    return Postings.of(texts)


def _written(index: Path, name: str, postings: Postings) -> Postings:
    folder = index / FOLDER / name
    folder.mkdir(parents=True)
    postings.save(folder)
    return Postings.open(folder)
