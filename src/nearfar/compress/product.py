"""Product quantization: the dimensions in M groups, each group's nearest of 256 centroids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import faiss
import numpy as np
from numpy.typing import NDArray

from nearfar.compress.check import as_codes, as_vectors
from nearfar.compress.codec import Codes, Kind, Sample, State, Vectors
from nearfar.compress.lookup import Tables, by_tables

BITS = 8
K = 1 << BITS


@dataclass(frozen=True)
class Product:
    """Centroids of M groups of neighbouring dimensions; groups differ by one at most, zeros fill up the width."""

    dimension: int
    centroids: Vectors  # (M, K, width), width = ⌈d / M⌉

    @property
    def size_bytes(self) -> int:
        return len(self.centroids)

    def encode(self, vectors: Vectors) -> Codes:
        codes: Codes = self._quantizer.compute_codes(spread(as_vectors(vectors, self.dimension), self.size_bytes))
        return codes

    def decode(self, codes: Codes) -> Vectors:
        wide: Vectors = self._quantizer.decode(as_codes(codes, self.size_bytes))
        return wide[:, _places(self.dimension, self.size_bytes)]

    def score(self, queries: Vectors, codes: Codes) -> Vectors:
        queries = as_vectors(queries, self.dimension)
        return by_tables(queries, as_codes(codes, self.size_bytes), self._tables)

    def state(self) -> State:
        return {"dimension": np.array(self.dimension), "centroids": self.centroids}

    @cached_property
    def _quantizer(self) -> faiss.ProductQuantizer:
        groups, _, width = self.centroids.shape
        quantizer = faiss.ProductQuantizer(groups * width, groups, BITS)
        faiss.copy_array_to_vector(self.centroids.ravel(), quantizer.centroids)
        return quantizer

    def _tables(self, queries: Vectors) -> Tables:
        groups, _, width = self.centroids.shape
        parts = spread(queries, groups).reshape(len(queries), groups, width).transpose(1, 2, 0)
        tables: Tables = self.centroids @ parts  # (M, K, width) by (M, width, Q)
        return tables


def spread(vectors: Vectors, groups: int) -> Vectors:
    """Vectors (n, d) with zeros filled in, so that all groups have one width; (n, groups · ⌈d / groups⌉)."""
    dimension = vectors.shape[1]
    wide = np.zeros((len(vectors), groups * -(-dimension // groups)), np.float32)
    wide[:, _places(dimension, groups)] = vectors
    return wide


def _places(dimension: int, groups: int) -> NDArray[np.int64]:
    """Where each dimension stands among the padded ones, (d,)."""
    width = -(-dimension // groups)
    parts = np.array_split(np.arange(dimension), groups)
    return np.concatenate([group * width + np.arange(len(part)) for group, part in enumerate(parts)])


def product_of(vectors: Vectors, groups: int, seed: int) -> Product:
    """Product quantization with FAISS's k-means on vectors (n, d), n ≥ 256."""
    wide = spread(vectors, groups)
    quantizer = new_quantizer(wide.shape[1], groups, seed)
    quantizer.train(wide)
    centroids = faiss.vector_to_array(quantizer.centroids).reshape(groups, K, -1)
    return Product(vectors.shape[1], centroids)


def new_quantizer(dimension: int, groups: int, seed: int, bits: int = BITS) -> faiss.ProductQuantizer:
    """FAISS's, not trained yet."""
    quantizer = faiss.ProductQuantizer(dimension, groups, bits)
    quantizer.cp.seed = seed
    quantizer.cp.min_points_per_centroid = 1  # else it writes warnings to the terminal
    return quantizer


def sizes(dimension: int) -> Sequence[int]:
    """A byte a group, and no group without a dimension."""
    return range(1, dimension + 1)


def fewest(_: int) -> int:
    """A document a centroid."""
    return K


def restore_product(state: State) -> Product:
    dimension, centroids = int(state["dimension"]), state["centroids"].astype(np.float32)
    groups = len(centroids)
    needed = (groups, K, -(-dimension // max(groups, 1)))  # FAISS reads so many, whether they are there or not
    if centroids.shape != needed:
        raise ValueError(f"centroids of shape {centroids.shape} for {dimension} dimensions")
    return Product(dimension, centroids)


def _fit(sample: Sample, size_bytes: int) -> Product:
    return product_of(sample.vectors, size_bytes, sample.seed)


PQ = Kind("product quantization", "Jégou et al., 2011", sizes, _fit, restore_product, fewest, codebooks=True)
