"""Residual quantization: every codebook takes what those before it left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import faiss
import numpy as np

from nearfar.compress.check import as_codes, as_vectors
from nearfar.compress.codec import Codes, Kind, Sample, State, Vectors
from nearfar.compress.lookup import Tables, by_tables
from nearfar.compress.product import BITS, K, fewest

MOST = 64  # codebooks: each is as large as the vectors are wide, and takes a k-means of its own
MOST_LOOKED_UP = 32  # codebooks whose products are all kept while encoding: 134 MB, and half a gigabyte at 64
BEAM = 5  # partial codes kept in the search for the best one, FAISS's own choice


@dataclass(frozen=True)
class Residual:
    """Sums of M centroids, one of each codebook, found by beam search."""

    codebooks: Vectors  # (M, K, d)

    @property
    def dimension(self) -> int:
        return int(self.codebooks.shape[2])

    @property
    def size_bytes(self) -> int:
        return len(self.codebooks)

    def encode(self, vectors: Vectors) -> Codes:
        codes: Codes = self._quantizer.compute_codes(as_vectors(vectors, self.dimension))
        return codes

    def decode(self, codes: Codes) -> Vectors:
        vectors: Vectors = self._quantizer.decode(as_codes(codes, self.size_bytes))
        return vectors

    def score(self, queries: Vectors, codes: Codes) -> Vectors:
        queries = as_vectors(queries, self.dimension)
        return by_tables(queries, as_codes(codes, self.size_bytes), self._tables)

    def state(self) -> State:
        return {"codebooks": self.codebooks}

    @cached_property
    def _quantizer(self) -> faiss.ResidualQuantizer:
        quantizer = _new(self.dimension, self.size_bytes)
        faiss.copy_array_to_vector(self.codebooks.ravel(), quantizer.codebooks)
        quantizer.is_trained = True
        quantizer.compute_codebook_tables()
        return quantizer

    def _tables(self, queries: Vectors) -> Tables:
        tables: Tables = self.codebooks @ queries.T  # (M, K, Q)
        return tables


def _new(dimension: int, codebooks: int) -> faiss.ResidualQuantizer:
    quantizer = faiss.ResidualQuantizer(dimension, codebooks, BITS)
    quantizer.max_beam_size = BEAM
    quantizer.use_beam_LUT = int(codebooks <= MOST_LOOKED_UP)
    return quantizer


def _fit(sample: Sample, size_bytes: int) -> Residual:
    quantizer = _new(sample.vectors.shape[1], size_bytes)
    quantizer.train_type = faiss.ResidualQuantizer.Train_default
    quantizer.cp.seed = sample.seed
    quantizer.cp.min_points_per_centroid = 1  # else it writes warnings to the terminal
    quantizer.train(sample.vectors)
    return Residual(faiss.vector_to_array(quantizer.codebooks).reshape(size_bytes, K, -1))


def _sizes(dimension: int) -> Sequence[int]:
    return range(1, min(dimension, MOST) + 1)


def restore_residual(state: State) -> Residual:
    """The codec of these arrays."""
    books = state["codebooks"].astype(np.float32)
    if books.ndim != 3 or books.shape[1] != K:  # FAISS reads so many, whether they are there or not
        raise ValueError(f"codebooks of shape {books.shape}")
    return Residual(books)


RQ = Kind("residual quantization: good at few bytes, slow to fit", "Chen et al., 2010; Liu et al., 2015",
          _sizes, _fit, restore_residual, fewest, codebooks=True)  # fmt: skip
