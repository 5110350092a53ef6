"""One byte a dimension."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nearfar.compress.blocks import by_blocks
from nearfar.compress.check import as_codes, as_vectors
from nearfar.compress.codec import Codes, Kind, Sample, State, Vectors

HIGHEST = np.iinfo(np.uint8).max
MARGIN = 0.125  # of the sample's range: others go beyond it, and saturating costs far more than a wider step


@dataclass(frozen=True)
class Int8:
    """x ≈ low + step · code, dimension by dimension; what lies outside of the levels saturates."""

    low: Vectors  # (d,)
    step: Vectors  # (d,), 0 where the sample was constant

    @property
    def dimension(self) -> int:
        return len(self.low)

    @property
    def size_bytes(self) -> int:
        return len(self.low)

    def encode(self, vectors: Vectors) -> Codes:
        levels = (as_vectors(vectors, self.dimension) - self.low) / np.where(self.step > 0, self.step, 1)
        return np.rint(levels).clip(0, HIGHEST).astype(np.uint8)

    def decode(self, codes: Codes) -> Vectors:
        return self.low + self.step * as_codes(codes, self.size_bytes).astype(np.float32)

    def score(self, queries: Vectors, codes: Codes) -> Vectors:
        queries = as_vectors(queries, self.dimension)
        base, scaled = queries @ self.low, queries * self.step
        codes = as_codes(codes, self.size_bytes)
        return by_blocks(queries, codes, lambda block: base[:, None] + scaled @ block.T.astype(np.float32))

    def state(self) -> State:
        return {"low": self.low, "step": self.step}


def int8_of(vectors: Vectors) -> Int8:
    """The codec whose levels span the range of each dimension of the vectors (n, d), and a margin."""
    low, high = vectors.min(axis=0), vectors.max(axis=0)
    more = MARGIN * (high - low)
    return Int8((low - more).astype(np.float32), ((high - low + 2 * more) / HIGHEST).astype(np.float32))


def restore_int8(state: State) -> Int8:
    return Int8(state["low"].astype(np.float32), state["step"].astype(np.float32))


def _sizes(dimension: int) -> tuple[int]:
    return (dimension,)


def _fit(sample: Sample, _: int) -> Int8:
    return int8_of(sample.vectors)


INT8 = Kind(
    "a byte a dimension, scaled to its range",
    "FAISS's scalar quantizer, Douze et al., 2024",
    _sizes,
    _fit,
    restore_int8,
)
