"""Codecs of every kind that learns, small and quickly made, for vectors of 32 dimensions."""

import numpy as np

from nearfar.compress.codec import Sample
from nearfar.compress.mapped import Mapped
from nearfar.compress.registry import fit

D, SIZE = 32, 4


def unit_vectors(rows, seed=0):
    made = np.random.default_rng(seed).normal(size=(rows, D)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def near(matrix, seed):
    """The matrix, moved a little: what learning has left."""
    return (matrix + 0.1 * np.random.default_rng(seed).normal(size=matrix.shape)).astype(np.float32)


def codec(name, size=SIZE):
    """A fitted codec; "residual" and "product" are as learning leaves them, with maps of their own."""
    sample = Sample(unit_vectors(600), np.empty((0, D), np.float32))
    if name == "residual":
        return Mapped(None, near(np.eye(D), 1), fit("rq", sample, size))
    if name == "product":
        start = fit("opq", sample, size)
        return Mapped(start.matrix, near(start.matrix, 2), start.inner)
    return fit(name, sample, size)
