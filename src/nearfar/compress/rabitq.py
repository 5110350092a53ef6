"""RaBitQ: the nearest vertex of a turned grid, and one factor that makes the inner product right on average."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import faiss
import numpy as np

from nearfar.compress.blocks import by_blocks
from nearfar.compress.check import as_codes, as_vectors
from nearfar.compress.codec import Codes, Kind, Sample, State, Vectors
from nearfar.compress.linear import Linear, principal, restoring

MOST_BITS = 8
FLOAT = 4  # bytes


@dataclass(frozen=True)
class Grid:
    """FAISS's RaBitQ codes about the origin: x ≈ factor · (level − (2^bits − 1) / 2).

    A code holds the levels' highest bits, where there are more three floats for a search in two steps and the other
    bits, and two floats, of which the last gives the factor.
    """

    dimension: int
    bits: int

    @property
    def size_bytes(self) -> int:
        return grid_bytes(self.dimension, self.bits)

    def encode(self, vectors: Vectors) -> Codes:
        codes: Codes = self._index.sa_encode(as_vectors(vectors, self.dimension))
        return codes

    def decode(self, codes: Codes) -> Vectors:
        codes = as_codes(codes, self.size_bytes)
        return self._factors(codes)[:, None] * (self._levels(codes) - np.float32((2**self.bits - 1) / 2))

    def score(self, queries: Vectors, codes: Codes) -> Vectors:
        queries = as_vectors(queries, self.dimension)
        return by_blocks(queries, codes, lambda block: queries @ self.decode(block).T)

    def state(self) -> State:
        return {"dimension": np.array(self.dimension), "bits": np.array(self.bits)}

    @cached_property
    def _index(self) -> faiss.IndexRaBitQ:
        index = faiss.IndexRaBitQ(self.dimension, faiss.METRIC_INNER_PRODUCT, self.bits)
        faiss.copy_array_to_vector(np.zeros(self.dimension, np.float32), index.center)
        index.is_trained = True
        return index

    def _factors(self, codes: Codes) -> Vectors:
        factors: Vectors = np.ascontiguousarray(codes[:, -FLOAT:]).view("<f4")[:, 0]
        return factors if self.bits > 1 else factors * np.float32(2 / np.sqrt(self.dimension))

    def _levels(self, codes: Codes) -> Vectors:
        signs = np.unpackbits(codes, axis=1, bitorder="little", count=self.dimension)
        lower = self.bits - 1
        if not lower:
            return signs.astype(np.float32)
        start = _bytes(self.dimension) + 3 * FLOAT
        bits = np.unpackbits(codes[:, start:], axis=1, bitorder="little", count=self.dimension * lower)
        places = (1 << np.arange(lower)).astype(np.float32)
        rest: Vectors = bits.reshape(len(codes), self.dimension, lower).astype(np.float32) @ places
        return rest + np.float32(1 << lower) * signs


def grid_bytes(dimension: int, bits: int) -> int:
    """Bytes of a code, its factors counted."""
    lower = bits - 1
    return _bytes(dimension) + 2 * FLOAT + (_bytes(dimension * lower) + 3 * FLOAT if lower else 0)


def _bytes(bits: int) -> int:
    return -(-bits // 8)


def _grids(dimension: int) -> dict[int, Grid]:
    """Of each size the grid that keeps the most dimensions: all of them, or a multiple of eight."""
    kept = [*range(8, dimension, 8), dimension]
    found: dict[int, Grid] = {}
    for bits in range(1, MOST_BITS + 1):
        for each in kept:
            size = grid_bytes(each, bits)
            if size not in found or found[size].dimension < each:
                found[size] = Grid(each, bits)
    return found


def _sizes(dimension: int) -> Sequence[int]:
    return sorted(_grids(dimension))


def _fit(sample: Sample, size_bytes: int) -> Linear:
    grid = _grids(sample.vectors.shape[1])[size_bytes]
    mean, axes = principal(sample.vectors, grid.dimension)
    return Linear(mean, _rotation(grid.dimension, sample.seed) @ axes, grid)


def _rotation(dimension: int, seed: int) -> Vectors:
    """A random rotation (d, d), which spreads every vector evenly over the dimensions."""
    gaussian = np.random.default_rng(seed).standard_normal((dimension, dimension))
    return np.linalg.qr(gaussian)[0].astype(np.float32)


def _restore(state: State) -> Grid:
    return Grid(int(state["dimension"]), int(state["bits"]))


RABITQ = Kind("random rotation, a few bits a dimension and 8 or 20 bytes beside; no codebooks to fit",
              "Gao and Long, 2024; Gao et al., 2025", _sizes, _fit, restoring(_restore))  # fmt: skip
