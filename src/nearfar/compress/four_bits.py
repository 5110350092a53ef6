"""Product quantization with four bits a group, two groups a byte: what processors compare 32 documents of at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import faiss
import numpy as np

from nearfar.compress.check import as_vectors
from nearfar.compress.codec import Codes, Kind, Sample, State, Vectors
from nearfar.compress.linear import Linear, restoring
from nearfar.compress.optimized import allocated, rotation
from nearfar.compress.product import Product, new_quantizer, spread

BITS = 4
K = 1 << BITS


@dataclass(frozen=True)
class FourBits:
    """Centroids of 2 · size_bytes groups of neighbouring dimensions; the first of two has a byte's lower bits."""

    centroids: Vectors  # (2 · size_bytes, K, width)

    @property
    def dimension(self) -> int:
        groups, _, width = self.centroids.shape
        return int(groups * width)

    @property
    def size_bytes(self) -> int:
        return len(self.centroids) // 2

    def encode(self, vectors: Vectors) -> Codes:
        codes: Codes = self._quantizer.compute_codes(as_vectors(vectors, self.dimension))
        return codes

    def decode(self, codes: Codes) -> Vectors:
        return self.pairs.decode(codes)

    def score(self, queries: Vectors, codes: Codes) -> Vectors:
        return self.pairs.score(queries, codes)

    def state(self) -> State:
        return {"centroids": self.centroids}

    @cached_property
    def pairs(self) -> Product:
        """The same codes as a byte a group: two groups are one with 256 centroids, each of the first beside each."""
        first, second = self.centroids[::2], self.centroids[1::2]  # (size_bytes, K, width)
        low, high = np.arange(K * K) % K, np.arange(K * K) // K
        return Product(self.dimension, np.concatenate([first[:, low], second[:, high]], axis=2))

    @cached_property
    def _quantizer(self) -> faiss.ProductQuantizer:
        quantizer = faiss.ProductQuantizer(self.dimension, len(self.centroids), BITS)
        faiss.copy_array_to_vector(self.centroids.ravel(), quantizer.centroids)
        return quantizer


def four_bits_of(vectors: Vectors, size_bytes: int, seed: int) -> FourBits:
    """FAISS's k-means on vectors (n, d), n ≥ 16, d a multiple of the groups."""
    groups = 2 * size_bytes
    quantizer = new_quantizer(vectors.shape[1], groups, seed, BITS)
    quantizer.train(np.ascontiguousarray(vectors))
    return FourBits(faiss.vector_to_array(quantizer.centroids).reshape(groups, K, -1))


def _fit(sample: Sample, size_bytes: int) -> Linear:
    return _after(rotation(sample.vectors, 2 * size_bytes, sample.seed, BITS), sample, size_bytes)


def _fit_allocated(sample: Sample, size_bytes: int) -> Linear:
    matrix = allocated(sample.vectors, 2 * size_bytes)
    return _after(spread(matrix.T, 2 * size_bytes).T, sample, size_bytes)


def _after(matrix: Vectors, sample: Sample, size_bytes: int) -> Linear:
    """The codec of what a matrix (d', d) makes of vectors (n, d)."""
    inner = four_bits_of(sample.vectors @ matrix.T, size_bytes, sample.seed)
    return Linear(np.zeros(matrix.shape[1], np.float32), np.ascontiguousarray(matrix), inner)


def _restore(state: State) -> FourBits:
    centroids = state["centroids"].astype(np.float32)
    whole = centroids.ndim == 3 and centroids.shape[1] == K and len(centroids) % 2 == 0
    if not whole:  # FAISS reads so many, whether they are there or not
        raise ValueError(f"centroids of shape {centroids.shape}")
    return FourBits(centroids)


def _sizes(dimension: int) -> Sequence[int]:
    return range(1, dimension // 2 + 1)


PQ4 = Kind("product quantization of four bits a group, after a rotation: fastest to search in FAISS",
           "André et al., 2015; Ge et al., 2013", _sizes, _fit, restoring(_restore), lambda _: K,
           codebooks=True, bits=BITS)  # fmt: skip
PQ4_P = Kind("product quantization of four bits a group, after the rotation of principal axes: fastest to search",
             "André et al., 2015; Ge et al., 2013, section 4", _sizes, _fit_allocated, restoring(_restore), lambda _: K,
             codebooks=True, bits=BITS)  # fmt: skip
