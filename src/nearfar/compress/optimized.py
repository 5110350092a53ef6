"""Product quantization after the rotation that suits it best."""

from __future__ import annotations

import faiss
import numpy as np

from nearfar.compress.codec import Kind, Sample, Vectors
from nearfar.compress.linear import Linear, restoring
from nearfar.compress.product import fewest, new_quantizer, product_of, restore_product, sizes


def _fit(sample: Sample, size_bytes: int) -> Linear:
    rotation = _rotation(sample.vectors, size_bytes, sample.seed)
    inner = product_of(sample.vectors @ rotation.T, size_bytes, sample.seed)
    return Linear(np.zeros(rotation.shape[1], np.float32), rotation, inner)


def _rotation(vectors: Vectors, groups: int, seed: int) -> Vectors:
    """FAISS's OPQ of vectors (n, d): (k, d) with orthonormal columns, k the first multiple of `groups` from d on."""
    dimension = vectors.shape[1]
    wide = groups * -(-dimension // groups)
    quantizer = new_quantizer(wide, groups, seed)  # a name of its own: the rotation keeps a bare pointer to it
    rotation = faiss.OPQMatrix(dimension, groups, wide)
    rotation.pq = quantizer
    rotation.train(vectors)
    matrix: Vectors = faiss.vector_to_array(rotation.A).reshape(wide, dimension)
    return matrix


OPQ = Kind("product quantization after a fitted rotation", "Ge et al., 2013",
           sizes, _fit, restoring(restore_product), fewest, codebooks=True)  # fmt: skip
