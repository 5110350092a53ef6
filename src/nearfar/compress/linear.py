"""A linear map before a codec: principal axes, rotations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nearfar.compress.check import as_vectors
from nearfar.compress.codec import Codec, Codes, State, Vectors, inner_of, with_inner


@dataclass(frozen=True)
class Linear:
    """A codec of y = W(x − mean) with orthonormal W, decoded to mean + Wᵀy: q·x̂ = q·mean + (Wq)·ŷ."""

    mean: Vectors  # (d,)
    matrix: Vectors  # (k, d), whose rows are orthonormal, or whose columns are where k ≥ d
    inner: Codec  # of k dimensions

    @property
    def dimension(self) -> int:
        return len(self.mean)

    @property
    def size_bytes(self) -> int:
        return self.inner.size_bytes

    def encode(self, vectors: Vectors) -> Codes:
        return self.inner.encode(mapped(as_vectors(vectors, self.dimension), self.mean, self.matrix))

    def decode(self, codes: Codes) -> Vectors:
        return self.mean + self.inner.decode(codes) @ self.matrix

    def score(self, queries: Vectors, codes: Codes) -> Vectors:
        queries = as_vectors(queries, self.dimension)
        return (queries @ self.mean)[:, None] + self.inner.score(queries @ self.matrix.T, codes)

    def state(self) -> State:
        return with_inner({"mean": self.mean, "matrix": self.matrix}, self.inner)


def mapped(vectors: Vectors, mean: Vectors, matrix: Vectors) -> Vectors:
    """W(x − mean) of vectors (n, d); (n, k)."""
    result: Vectors = (vectors - mean).astype(np.float32, copy=False) @ matrix.T
    return result


def restoring(inner: Callable[[State], Codec]) -> Callable[[State], Linear]:
    """How to restore a linear map before the codec that `inner` restores."""

    def restore(state: State) -> Linear:
        codec = Linear(state["mean"].astype(np.float32), state["matrix"].astype(np.float32), inner(inner_of(state)))
        if codec.matrix.shape != (codec.inner.dimension, codec.dimension):
            raise ValueError(f"a map of shape {codec.matrix.shape} for {codec.dimension} dimensions")
        return codec

    return restore


def principal(vectors: Vectors, kept: int) -> tuple[Vectors, Vectors]:
    """Mean (d,) of vectors (n, d), and the `kept` directions (kept, d) in which they vary most, most first."""
    mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = vectors - mean
    _, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))  # ascending
    return mean, np.ascontiguousarray(axes[:, ::-1][:, :kept].T, np.float32)
