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


def allocated(vectors: Vectors, groups: int) -> Vectors:
    """Rotation (d, d) onto principal axes, dealt out so that the groups' variances have about the same product.

    Eigenvalue allocation: the best rotation for normal data (Ge et al., 2013, section 4). The axes are taken by falling
    variance, each into the group with the smallest product so far that has room.
    """
    dimension = vectors.shape[1]
    variances, axes = np.linalg.eigh(np.cov(vectors, rowvar=False).reshape(dimension, dimension))
    logs = np.log(np.maximum(variances[::-1], variances.max() * 1e-9 + np.finfo(np.float32).tiny))
    logs -= logs.min()  # not below 0, so that an axis more never makes a group's product smaller
    rooms = np.full(groups, dimension // groups)
    rooms[: dimension % groups] += 1
    products, groups_of = np.zeros(groups), np.empty(dimension, np.int64)
    for axis, size in enumerate(logs):
        group = int(np.argmin(np.where(rooms > 0, products, np.inf)))
        products[group] += size
        rooms[group] -= 1
        groups_of[axis] = group
    order = np.argsort(groups_of, kind="stable")
    matrix: Vectors = np.ascontiguousarray(axes[:, ::-1].T[order], np.float32)
    return matrix


def _fit_allocated(sample: Sample, size_bytes: int) -> Linear:
    matrix = allocated(sample.vectors, size_bytes)
    inner = product_of(sample.vectors @ matrix.T, size_bytes, sample.seed)
    return Linear(np.zeros(matrix.shape[1], np.float32), matrix, inner)


OPQ = Kind("product quantization after a fitted rotation", "Ge et al., 2013",
           sizes, _fit, restoring(restore_product), fewest, codebooks=True)  # fmt: skip
OPQ_P = Kind("product quantization after the rotation of principal axes, dealt out", "Ge et al., 2013, section 4",
             sizes, _fit_allocated, restoring(restore_product), fewest, codebooks=True)  # fmt: skip
