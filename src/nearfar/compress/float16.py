"""Half precision: the codec to measure the others by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nearfar.compress.blocks import by_blocks
from nearfar.compress.check import as_codes, as_vectors
from nearfar.compress.codec import Codes, Kind, Sample, State, Vectors

HALF = np.dtype("<f2")
LARGEST = float(np.finfo(HALF).max)


@dataclass(frozen=True)
class Float16:
    """Every dimension as a float16; beyond ±65504 it saturates."""

    dimension: int

    @property
    def size_bytes(self) -> int:
        return HALF.itemsize * self.dimension

    def encode(self, vectors: Vectors) -> Codes:
        return as_vectors(vectors, self.dimension).clip(-LARGEST, LARGEST).astype(HALF).view(np.uint8)

    def decode(self, codes: Codes) -> Vectors:
        return as_codes(codes, self.size_bytes).view(HALF).astype(np.float32)

    def score(self, queries: Vectors, codes: Codes) -> Vectors:
        queries = as_vectors(queries, self.dimension)
        return by_blocks(queries, codes, lambda block: queries @ self.decode(block).T)

    def state(self) -> State:
        return {"dimension": np.array(self.dimension)}


def _sizes(dimension: int) -> tuple[int]:
    return (HALF.itemsize * dimension,)


def _fit(sample: Sample, _: int) -> Float16:
    return Float16(sample.vectors.shape[1])


def _restore(state: State) -> Float16:
    return Float16(int(state["dimension"]))


FLOAT16 = Kind("halve every vector at no visible loss", "IEEE 754-2008, binary16", _sizes, _fit, _restore)
