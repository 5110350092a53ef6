"""The first dimensions of a Matryoshka model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nearfar.compress.check import as_vectors
from nearfar.compress.codec import Codes, Kind, Sample, State, Vectors
from nearfar.compress.int8 import Int8, int8_of, restore_int8


@dataclass(frozen=True)
class Truncate:
    """The first k dimensions, stretched to the whole vector's length so that cosines stay cosines, as int8."""

    dimension: int
    inner: Int8  # of k dimensions

    @property
    def size_bytes(self) -> int:
        return self.inner.size_bytes

    def encode(self, vectors: Vectors) -> Codes:
        return self.inner.encode(truncated(as_vectors(vectors, self.dimension), self.inner.dimension))

    def decode(self, codes: Codes) -> Vectors:
        kept = self.inner.decode(codes)
        return np.pad(kept, ((0, 0), (0, self.dimension - kept.shape[1])))

    def score(self, queries: Vectors, codes: Codes) -> Vectors:
        return self.inner.score(as_vectors(queries, self.dimension)[:, : self.inner.dimension], codes)

    def state(self) -> State:
        return {"dimension": np.array(self.dimension), **self.inner.state()}


def truncated(vectors: Vectors, kept: int) -> Vectors:
    """The first `kept` dimensions of vectors (n, d), with each vector's length as it was; (n, kept)."""
    first = vectors[:, :kept]
    whole, left = (np.linalg.norm(each, axis=1, keepdims=True) for each in (vectors, first))
    growth = np.divide(whole, left, out=np.zeros_like(whole), where=left > 0)
    return np.asarray(first * growth, np.float32)


def _sizes(dimension: int) -> Sequence[int]:
    return range(1, dimension + 1)


def _fit(sample: Sample, size_bytes: int) -> Truncate:
    return Truncate(sample.vectors.shape[1], int8_of(truncated(sample.vectors, size_bytes)))


def _restore(state: State) -> Truncate:
    return Truncate(int(state["dimension"]), restore_int8(state))


TRUNCATE = Kind("the first dimensions, of a model trained by Matryoshka losses", "Kusupati et al., 2022",
                _sizes, _fit, _restore)  # fmt: skip
