"""Codecs on clustered vectors, and what leaves of them."""

from __future__ import annotations

import numpy as np

from nearfar.compress.codec import Sample
from nearfar.index.export_check import Leaving


def clustered(rows, dimension, seed=0):
    """Unit vectors (rows, d) about forty directions."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(7).normal(size=(40, dimension))
    found = centres[generator.integers(0, 40, rows)] + 0.4 * generator.normal(size=(rows, dimension))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def fitted(kind, vectors, size_bytes):
    """A real codec of that kind."""
    return kind.fit(Sample(vectors, vectors[:0]), size_bytes)


class ProductCodec:
    """Slices of the rotated vector by their nearest of 256 sampled ones; queries may have a map of their own."""

    def __init__(self, vectors, books, rotation=None, query_map=None):
        self.dimension, self.size_bytes, self.rotation, self.query_map = vectors.shape[1], books, rotation, query_map
        drawn = self._rotated(vectors)[:256].reshape(256, books, -1)
        self.codebooks = np.ascontiguousarray(drawn.transpose(1, 0, 2))

    def _rotated(self, vectors):
        return vectors if self.rotation is None else vectors @ self.rotation.T

    def _slices(self, vectors):
        return zip(self.codebooks, np.split(vectors, self.size_bytes, axis=1), strict=True)

    def encode(self, vectors):
        far = [((part[:, None] - book[None]) ** 2).sum(-1) for book, part in self._slices(self._rotated(vectors))]
        return np.stack([row.argmin(1) for row in far], axis=1).astype(np.uint8)

    def decode(self, codes):
        rotated = np.concatenate([book[codes[:, m]] for m, book in enumerate(self.codebooks)], axis=1)
        map_ = self.rotation if self.query_map is None else self.query_map
        return rotated if map_ is None else rotated @ map_

    def score(self, queries, codes):
        return queries @ self.decode(codes).T

    def state(self):
        return {"codebooks": self.codebooks}


def rotation(rows, columns, seed=5):
    """Orthonormal directions (rows, columns), as long as there are no more of them than there can be."""
    drawn = np.random.default_rng(seed).normal(size=(max(rows, columns), min(rows, columns)))
    found = np.linalg.qr(drawn)[0].astype(np.float32)
    return found if rows >= columns else found.T


def leaving(codec, vectors, queries):
    """All of it, with ids that a careless writer would stumble over."""
    ids = [f"d{row}" for row in range(len(vectors))]
    ids[:3] = ["a\tb", "back\\slash", "line\nbreak é"]
    return Leaving("fake", codec, codec.encode(vectors), ids, queries, vectors, {"codec": "fake"})
