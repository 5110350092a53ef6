"""Product quantization after the rotation that suits it best."""

from __future__ import annotations

import faiss
import numpy as np

from nearfar.compress.codec import Kind, Sample, Vectors
from nearfar.compress.linear import Linear, restoring
from nearfar.compress.product import BITS, fewest, new_quantizer, product_of, restore_product, sizes


def _fit(sample: Sample, size_bytes: int) -> Linear:
    matrix = rotation(sample.vectors, size_bytes, sample.seed)
    inner = product_of(sample.vectors @ matrix.T, size_bytes, sample.seed)
    return Linear(np.zeros(matrix.shape[1], np.float32), matrix, inner)


def rotation(vectors: Vectors, groups: int, seed: int, bits: int = BITS) -> Vectors:
    """FAISS's OPQ of vectors (n, d): (k, d) with orthonormal columns, k the first multiple of `groups` from d on."""
    dimension = vectors.shape[1]
    wide = groups * -(-dimension // groups)
    quantizer = new_quantizer(wide, groups, seed, bits)  # a name of its own: the rotation keeps a bare pointer to it
    fitted = faiss.OPQMatrix(dimension, groups, wide)
    fitted.pq = quantizer
    fitted.train(np.tile(vectors, (-(-wide // len(vectors)), 1)))  # of fewer than `wide` it writes past its memory
    matrix: Vectors = faiss.vector_to_array(fitted.A).reshape(wide, dimension)
    return matrix


OPQ = Kind("product quantization after a fitted rotation", "Ge et al., 2013",
           sizes, _fit, restoring(restore_product), fewest, codebooks=True)  # fmt: skip
