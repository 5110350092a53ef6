"""One bit a dimension."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearfar.compress.blocks import by_blocks
from nearfar.compress.check import as_codes, as_vectors
from nearfar.compress.codec import Codes, Kind, Sample, State, Vectors


@dataclass(frozen=True)
class Binary:
    """On which side of the median each dimension lies, decoded to the mean of that side."""

    median: Vectors  # (d,)
    low: Vectors  # (d,), mean of the values up to the median
    high: Vectors  # (d,), mean of those above

    @property
    def dimension(self) -> int:
        return len(self.median)

    @property
    def size_bytes(self) -> int:
        return -(-len(self.median) // 8)

    def encode(self, vectors: Vectors) -> Codes:
        return np.packbits(as_vectors(vectors, self.dimension) > self.median, axis=1)

    def decode(self, codes: Codes) -> Vectors:
        return np.where(self._bits(as_codes(codes, self.size_bytes)), self.high, self.low)

    def score(self, queries: Vectors, codes: Codes) -> Vectors:
        queries = as_vectors(queries, self.dimension)
        base, scaled = queries @ self.low, queries * (self.high - self.low)
        codes = as_codes(codes, self.size_bytes)
        return by_blocks(queries, codes, lambda block: base[:, None] + scaled @ self._bits(block).T.astype(np.float32))

    def state(self) -> State:
        return {"median": self.median, "low": self.low, "high": self.high}

    def _bits(self, codes: Codes) -> NDArray[np.uint8]:
        return np.unpackbits(codes, axis=1, count=self.dimension)  # (n, d)


def _sizes(dimension: int) -> tuple[int]:
    return (-(-dimension // 8),)


def _fit(sample: Sample, _: int) -> Binary:
    median = np.median(sample.vectors, axis=0).astype(np.float32)
    above = sample.vectors > median
    return Binary(median, _mean(sample.vectors, ~above, median), _mean(sample.vectors, above, median))


def _mean(vectors: Vectors, chosen: NDArray[np.bool_], otherwise: Vectors) -> Vectors:
    """Mean (d,) of the chosen values of each dimension, and `otherwise` where there are none."""
    count = chosen.sum(axis=0)
    total = np.where(chosen, vectors, 0).sum(axis=0, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), otherwise).astype(np.float32)


def _restore(state: State) -> Binary:
    return Binary(*(state[name].astype(np.float32) for name in ("median", "low", "high")))


BINARY = Kind("a bit a dimension, scored by float queries", "Charikar, 2002; Dong et al., 2008", _sizes, _fit, _restore)
