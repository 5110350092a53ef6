"""The words of an index's documents: segments of postings that are written once, and where their documents are now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nearfar.text.postings import GONE, Ints, Postings, merged
from nearfar.text.segmented_bm25 import SegmentedBM25

FOLDER = "words"  # below the index, with a folder for each segment in it
MOST_SEGMENTS = 8  # more are merged into one

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Lexicon:
    """Segments, and the row of each of their documents."""

    names: tuple[str, ...]  # of their folders
    segments: tuple[Postings, ...]
    rows: tuple[Ints, ...]  # of each segment's documents, GONE where one was deleted

    @classmethod
    def begin(cls, index: Path, name: str, texts: Iterable[str]) -> Lexicon:
        """Write a segment of texts, in the order of their rows."""
        segment = _written(index, name, Postings.of(texts))
        return cls((name,), (segment,), (np.arange(len(segment), dtype=np.int32),))

    def changed(self, index: Path, name: str, kept: Rows, texts: Iterable[str]) -> Lexicon:
        """The words of some of the documents, in rising order of their rows, with those of new texts behind them.

        Args:
            name: of a segment that may have to be written.
        """
        moved = np.full(self.size + 1, GONE, np.int32)  # one more, for what is gone already
        moved[kept] = np.arange(len(kept), dtype=np.int32)
        rows = tuple(moved[part] for part in self.rows)
        new = Postings.of(texts)
        if not len(new) and len(self.names) <= MOST_SEGMENTS:
            return Lexicon(self.names, self.segments, rows)
        segments = (*self.segments, new)
        rows = (*rows, np.arange(len(kept), len(kept) + len(new), dtype=np.int32))
        if len(segments) <= MOST_SEGMENTS:
            return Lexicon((*self.names, name), (*self.segments, _written(index, name, new)), rows)
        whole = _written(index, name, merged(segments, rows))
        return Lexicon((name,), (whole,), (np.arange(len(whole), dtype=np.int32),))

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
        """The search over all of them."""
        return SegmentedBM25.over(self.segments, self.rows)

    def save(self, folder: Path) -> None:
        """Write into a new folder where the documents of each segment are; the segments are written already."""
        folder.mkdir(parents=True)
        for name, rows in zip(self.names, self.rows, strict=True):
            np.save(folder / f"{name}.npy", rows)

    @classmethod
    def load(cls, folder: Path, index: Path) -> Lexicon:
        """Open what `save` wrote."""
        names = tuple(sorted((file.stem for file in folder.glob("*.npy")), key=int))
        rows = tuple(np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in names)
        return cls(names, tuple(Postings.open(index / FOLDER / name) for name in names), rows)

    def files(self, index: Path) -> list[Path]:
        """The segments' files."""
        return [file for name in self.names for file in sorted((index / FOLDER / name).iterdir())]


def _written(index: Path, name: str, postings: Postings) -> Postings:
    folder = index / FOLDER / name
    folder.mkdir(parents=True)
    postings.save(folder)
    return Postings.open(folder)
