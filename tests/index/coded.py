"""Codecs on clustered vectors, and what leaves of them."""

from __future__ import annotations

from functools import cache

import numpy as np

from nearfar.compress.codec import Sample
from nearfar.compress.four_bits import PQ4
from nearfar.compress.linear import Linear
from nearfar.compress.mapped import Mapped
from nearfar.compress.optimized import OPQ
from nearfar.compress.product import PQ, product_of
from nearfar.compress.residual import RQ
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


def mapped(vectors, size_bytes, turn, query_map):
    """Product codes of rotated documents, for queries with a map of their own."""
    return Mapped(turn, query_map, product_of(vectors @ turn.T, size_bytes, seed=0))


class Scoring:
    """A codec that gives away the codebooks of another, and has its own scores (Q, n) of these queries."""

    def __init__(self, codec, queries, scores):
        self.dimension, self.size_bytes, self.codebooks = codec.dimension, codec.size_bytes, codec.centroids
        self.queries, self.scores = queries, scores

    def score(self, queries, codes):
        return self.scores[[np.flatnonzero((self.queries == query).all(axis=1))[0] for query in queries]]


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


VECTORS, QUERIES = clustered(1200, 32), clustered(60, 32, seed=1)


@cache
def codec_of(name):
    """Codecs of VECTORS: queries go through nothing, a padding, a rotation, both, their own map, or copies."""
    return {
        "pq": lambda: fitted(PQ, VECTORS, 8),
        "pq, uneven groups": lambda: fitted(PQ, VECTORS, 6),
        "opq": lambda: fitted(OPQ, VECTORS, 8),
        "opq, uneven groups": lambda: fitted(OPQ, VECTORS, 6),
        "mapped": lambda: mapped(VECTORS, 8, rotation(32, 32), rotation(32, 32, seed=6) * 1.5),
        "wider": lambda: mapped(VECTORS, 8, rotation(48, 32), rotation(48, 32, seed=6)),
        "residual": lambda: fitted(RQ, VECTORS, 4),
        "one codebook": lambda: fitted(RQ, VECTORS, 1),
        "four bits": lambda: fitted(PQ4, VECTORS, 8),
        "four bits, uneven groups": lambda: fitted(PQ4, VECTORS, 6),
        "residual, mapped": lambda: Linear(np.zeros(32, np.float32), rotation(32, 32), fitted(RQ, VECTORS, 4)),
    }[name]()
