"""Codes in memory, cell by cell: a query is held against the documents of the nearest cells alone.

An inverted file (Jégou et al., 2011, section IV) of inner products: x ≈ c + r̂, with c the centroid of the document's
cell and r̂ what its code stands for. So q·x ≈ q·c + q·r̂, and one table of q's products with the codebooks serves all
cells.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from nearfar.compress.codec import Codec, Codes, Sample, Vectors
from nearfar.compress.lookup import add_scores
from nearfar.compress.registry import fit, kind_of
from nearfar.core.errors import BadInput
from nearfar.core.plain_arrays import mapped_array
from nearfar.index.codec_folder import open_codec, save_codec
from nearfar.index.config import IndexConfig
from nearfar.index.export_form import Codebooks, four_bits_of
from nearfar.index.registers import BLOCK, by_document, in_blocks, rounded
from nearfar.index.scan import best_of_blocks, keep_best, opened, opened_blocks, tables_of

PER_CENTROID = 64  # documents that a centroid of a cell, and a codebook's, is fitted to
FITTED = 65_536  # documents that the codec is fitted to, at most
ROUNDS = 10  # of k-means
BLOCK_ROWS = 1 << 14
CODEC, ARRAYS = "codec", ("centroids", "starts", "rows", "codes")
GAP = -1  # row of a place that fills up a block

Rows = NDArray[np.int64]
Homes = NDArray[np.int32]  # (n,) cell of each document
Mask = NDArray[np.bool_]  # (n,) documents that may be found
Read = Callable[[Rows], Vectors]


def check_codec(name: str) -> None:
    """Refuse a codec that cells cannot have.

    Raises:
        BadInput: there is none of this name, or it has no codebooks.
    """
    if not kind_of(name).codebooks:
        raise BadInput.at("codec", expected="one with codebooks", found=name, do="such as pq or opq")


@dataclass(frozen=True)
class Coder:
    """What makes a document's cell and code of its vector."""

    name: str  # of the codec
    codec: Codec
    centroids: Vectors  # (C, d)

    @classmethod
    def fit(cls, read: Read, documents: int, config: IndexConfig, seed: int = 0) -> Coder:
        """Fit cells, and a codec of what is left, to a sample of so many documents.

        Args:
            read: rows → their vectors (n, d).

        Raises:
            BadInput: the codec is unknown, has no codebooks or no such size, or there are too few documents for it.
        """
        check_codec(config.codec)
        cells = max(1, documents // config.documents_per_cell)
        order = np.random.default_rng(seed).permutation(documents)
        sample = read(np.sort(order[: max(FITTED, PER_CENTROID * cells)]))
        means = faiss.Kmeans(sample.shape[1], cells, niter=ROUNDS, seed=seed + 1, min_points_per_centroid=1,
                             max_points_per_centroid=PER_CENTROID)  # fmt: skip
        means.train(sample)
        centroids = np.asarray(means.centroids, np.float32)
        chosen = sample[np.random.default_rng(seed).permutation(len(sample))[:FITTED]]
        left = chosen - centroids[_nearest(centroids, chosen)]
        left = left[left.any(axis=1)]  # a document that is its cell's centroid has nothing left
        sizes = kind_of(config.codec).sizes(sample.shape[1])
        size_bytes = max((size for size in sizes if size <= config.size_bytes), default=config.size_bytes)
        return cls(config.codec, fit(config.codec, Sample(left, left[:0], seed=seed), size_bytes), centroids)

    def encode(self, vectors: Vectors) -> tuple[Homes, Codes]:
        """Cell (n,) and code (n, size_bytes) of each vector (n, d)."""
        homes = np.empty(len(vectors), np.int32)
        codes = np.empty((len(vectors), self.codec.size_bytes), np.uint8)
        for start in range(0, len(vectors), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            homes[part] = _nearest(self.centroids, vectors[part])
            codes[part] = self.codec.encode(vectors[part] - self.centroids[homes[part]])
        return homes, codes

    @property
    def in_blocks(self) -> bool:
        """Whether codes have four bits a group, and lie so that 32 documents are looked up at once."""
        return four_bits_of(self.codec) is not None

    def cells(self, blocks: Iterable[Vectors], documents: int) -> Cells:
        """The cells of so many documents, whose vectors come some at a time."""
        homes = np.empty(documents, np.int32)
        codes = np.empty((documents, self.codec.size_bytes), np.uint8)
        start = 0
        for block in blocks:
            part = slice(start, start + len(block))
            homes[part], codes[part] = self.encode(block)
            start = part.stop
        return Cells.of(self, homes, codes)


@dataclass(frozen=True)
class Cells:
    """The codes of an index's documents, those of a cell side by side; memory-mapped where they were opened.

    Codes of four bits lie in blocks of 32 documents, and the last block of a cell may have gaps.
    """

    coder: Coder
    starts: Rows  # (C + 1,) first place of each cell, and the end
    rows: NDArray[np.int32]  # (p,) document at each place, −1 in gaps
    codes: Codes  # (p, size_bytes) of the document at each place; in blocks (p / 32, size_bytes, 32)

    @classmethod
    def of(cls, coder: Coder, homes: Homes, codes: Codes) -> Cells:
        """Lay the codes of documents (n, size_bytes) into their cells (n,)."""
        in_cell = np.bincount(homes, minlength=len(coder.centroids))
        step = BLOCK if coder.in_blocks else 1
        starts = np.concatenate([[0], np.cumsum(-(-in_cell // step) * step)]).astype(np.int64)
        order = np.argsort(homes, kind="stable").astype(np.int32)
        places = np.arange(len(order)) + np.repeat(starts[:-1] - (np.cumsum(in_cell) - in_cell), in_cell)
        rows, laid = np.full(starts[-1], GAP, np.int32), np.zeros((starts[-1], codes.shape[1]), np.uint8)
        rows[places], laid[places] = order, codes[order]
        return cls(coder, starts, rows, in_blocks(laid) if coder.in_blocks else laid)

    def __len__(self) -> int:
        return self._documents

    @cached_property
    def _documents(self) -> int:
        return int(np.count_nonzero(self.rows >= 0))

    @property
    def nbytes(self) -> int:
        """Bytes of the codes, where they stand, and what they are codes of."""
        held: list[NDArray[Any]] = [self.coder.centroids, self.starts, self.rows, self.codes]
        return sum(array.nbytes for array in (*held, *self.coder.codec.state().values()))

    def by_row(self) -> tuple[Homes, Codes]:
        """Cell (n,) and code (n, size_bytes) of each document, in the order of the documents."""
        laid = by_document(self.codes) if self.coder.in_blocks else self.codes
        homes, codes = np.empty(len(self), np.int32), np.empty((len(self), laid.shape[1]), np.uint8)
        there = self.rows >= 0
        cells = np.repeat(np.arange(len(self.starts) - 1, dtype=np.int32), np.diff(self.starts))
        homes[self.rows[there]], codes[self.rows[there]] = cells[there], laid[there]
        return homes, codes

    def changed(self, kept: Rows, vectors: Vectors) -> Cells:
        """Cells of some of the documents, in rising order of their rows, with new ones (n, d) behind them."""
        homes, codes = self.by_row()
        new_homes, new_codes = self.coder.encode(vectors)
        return Cells.of(self.coder, np.concatenate([homes[kept], new_homes]), np.concatenate([codes[kept], new_codes]))

    def candidates(self, query: Vectors, count: int, scanned: int, allowed: Mask | None = None) -> Rows:
        """Rows of the `count` documents whose codes score highest for a query (d,), rising.

        Args:
            scanned: codes that are scored at the least: cells are opened, the likeliest first, until so many documents
                were met. With as many as there are documents, none is left out.
            allowed: documents that may be found; None for all. Where a share s of all is allowed, √s · scanned of those
                are to be met: the fewer there are, the further apart the best of them lie.
        """
        room = len(self) if allowed is None else int(np.count_nonzero(allowed))
        if room <= count:
            return np.arange(room) if allowed is None else np.flatnonzero(allowed)
        near = self.coder.centroids @ query
        order = np.argsort(-near)
        mask = np.empty(0, np.bool_) if allowed is None else allowed
        least, cells = math.ceil(scanned * math.sqrt(room / len(self))), (self.starts, self.rows)
        tables = tables_of(self._books, query)
        if self.coder.in_blocks:
            codes = (self.codes, *rounded(tables))
            blocks = opened_blocks(order, near, cells, mask, least)
            return np.sort(best_of_blocks(blocks, self.rows, mask, codes, count)).astype(np.int64)
        most = min(room, least + int(np.diff(self.starts).max(initial=0)))
        places, scores = np.empty(most, np.int32), np.empty(most, np.float32)
        met = opened(order, near, cells, mask, least, (places, scores))
        add_scores(places[:met], self.codes, tables, scores[:met])
        best = keep_best(places[:met], scores[:met], count)
        return np.sort(self.rows[places[:best]]).astype(np.int64)

    @cached_property
    def _books(self) -> Codebooks:
        """Codebooks that are looked up: of bytes, or of the two halves of each."""
        books, four_bits = Codebooks.of(self.coder.name, self.coder.codec, "index"), four_bits_of(self.coder.codec)
        return books if four_bits is None else replace(books, codebooks=four_bits.centroids)

    def save(self, folder: Path, fingerprint: str) -> None:
        """Write them into a new folder, for vectors of the model of that fingerprint."""
        folder.mkdir(parents=True)
        save_codec(folder / CODEC, self.coder.name, self.coder.codec, fingerprint)
        arrays: tuple[NDArray[Any], ...] = (self.coder.centroids, self.starts, self.rows, self.codes)
        for name, array in zip(ARRAYS, arrays, strict=True):
            np.save(folder / f"{name}.npy", array)

    @classmethod
    def load(cls, folder: Path, name: str, fingerprint: str, shape: tuple[int, int]) -> Cells:
        """Open what `save` wrote, for a table of this shape (n, d).

        Raises:
            BadInput: it is damaged, or stands for other documents.
        """
        centroids, starts, rows, codes = (mapped_array(folder / f"{name}.npy") for name in ARRAYS)
        coder = Coder(name, open_codec(folder / CODEC, fingerprint), np.array(centroids))
        opened = cls(coder, np.array(starts), rows, codes)
        opened._check(folder, *shape)
        return opened

    def _check(self, folder: Path, documents: int, dimension: int) -> None:
        """Refuse arrays that compiled loops would follow out of memory, or that are of other documents.

        Raises:
            BadInput: so.
        """
        starts, rows, codes, centroids = self.starts, self.rows, self.codes, self.coder.centroids
        size, blocks = self.coder.codec.size_bytes, self.coder.in_blocks
        sound = (
            [part.dtype.name for part in (starts, rows, codes, centroids)] == ["int64", "int32", "uint8", "float32"]
            and all(part.flags.c_contiguous for part in (starts, rows, codes, centroids))
            and [part.ndim for part in (starts, rows, centroids)] == [1, 1, 2]
            and centroids.shape[1] == self.coder.codec.dimension == dimension
            and codes.shape == ((len(rows) // BLOCK, size, BLOCK) if blocks else (len(rows), size))
            and len(starts) == len(centroids) + 1
            and (starts[0], starts[-1]) == (0, len(rows))
            and bool((starts[1:] >= starts[:-1]).all())
            and (not blocks or not (starts % BLOCK).any())
            and rows.min(initial=0) >= (GAP if blocks else 0)
            and rows.max(initial=GAP) < documents
            and bool((np.bincount(rows[rows >= 0], minlength=documents) == 1).all())
            and len(self._books.codebooks) == (2 * size if blocks else size)
        )
        if not sound:
            raise BadInput.at(folder, expected=f"each of {documents:,} documents once, with a whole code",
                              found="others", do="build the index again")  # fmt: skip


def _nearest(centroids: Vectors, vectors: Vectors) -> Homes:
    """The centroid (C, d) nearest to each vector (n, d) by squared distance, (n,)."""
    flat = faiss.IndexFlatL2(centroids.shape[1])
    flat.add(centroids)
    homes: Homes = flat.search(np.ascontiguousarray(vectors, np.float32), 1)[1][:, 0].astype(np.int32)
    return homes
