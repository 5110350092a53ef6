"""Bits learnt for retrieval: as many as wanted, fewer or more than dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nearfar.compress.blocks import by_blocks
from nearfar.compress.check import as_codes, as_vectors
from nearfar.compress.codec import Codes, Kind, Sample, State, Vectors
from nearfar.compress.learning import ALL, OF_CENTROIDS

BITS = 8  # of a byte


@dataclass(frozen=True)
class Bits:
    """b = sign(W x − t) in ±1, decoded to base + Vᵀb: a query, which stays real, scores q·base + (V q)·b."""

    planes: Vectors  # W (n, d), of n bits
    thresholds: Vectors  # t (n,)
    base: Vectors  # (d,)
    values: Vectors  # V (n, d)

    @property
    def dimension(self) -> int:
        return len(self.base)

    @property
    def size_bytes(self) -> int:
        return len(self.thresholds) // BITS

    def encode(self, vectors: Vectors) -> Codes:
        return np.packbits(as_vectors(vectors, self.dimension) @ self.planes.T > self.thresholds, axis=1)

    def decode(self, codes: Codes) -> Vectors:
        return self.base + _signs(as_codes(codes, self.size_bytes)) @ self.values

    def score(self, queries: Vectors, codes: Codes) -> Vectors:
        queries = as_vectors(queries, self.dimension)
        base: Vectors = queries @ self.base
        scaled: Vectors = queries @ self.values.T
        codes = as_codes(codes, self.size_bytes)
        return by_blocks(queries, codes, lambda block: base[:, None] + scaled @ _signs(block).T)

    def state(self) -> State:
        return {"planes": self.planes, "thresholds": self.thresholds, "base": self.base, "values": self.values}


def _signs(codes: Codes) -> Vectors:
    """±1 of each bit, (rows, n)."""
    return np.unpackbits(codes, axis=1).astype(np.float32) * np.float32(2) - np.float32(1)


def _sizes(dimension: int) -> Sequence[int]:
    return range(1, dimension + 1)


def _fit(sample: Sample, size_bytes: int) -> Bits:
    from nearfar.compress.learn.binary import fit  # torch: a fitted codec needs none

    return fit(sample, size_bytes)


def _restore(state: State) -> Bits:
    return Bits(*(state[name].astype(np.float32) for name in ("planes", "thresholds", "base", "values")))


LEARNED_BINARY = Kind(
    "bits, as many as wanted, that keep the scores of float queries",
    "after Binary Paragraph Vector (Grzegorczyk and Kurdziel, 2017) and LibVQ (Li et al., 2022)",
    _sizes, _fit, _restore, learned=True,
    settings=ALL - OF_CENTROIDS)  # fmt: skip
