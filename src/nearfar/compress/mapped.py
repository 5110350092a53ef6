"""Codes of documents whose queries have a map of their own: what learning adds to a product or residual codec."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nearfar.compress.check import as_vectors
from nearfar.compress.codec import Codes, State, Vectors, inner_of, with_inner
from nearfar.compress.product import Product
from nearfar.compress.residual import Residual


@dataclass(frozen=True)
class Mapped:
    """A codec of y = R x, asked by W q: the score is Wq · ŷ, so that a code stands for Wᵀŷ."""

    rotation: Vectors | None  # R (d', d) of documents; None: they stay as they are
    query_map: Vectors  # W (d', d)
    inner: Product | Residual  # of d' dimensions

    @property
    def dimension(self) -> int:
        return int(self.query_map.shape[1])

    @property
    def size_bytes(self) -> int:
        return self.inner.size_bytes

    @property
    def codebooks(self) -> Vectors:
        """Centroids (M, K, d_sub)."""
        return self.inner.codebooks if isinstance(self.inner, Residual) else self.inner.centroids

    def encode(self, vectors: Vectors) -> Codes:
        vectors = as_vectors(vectors, self.dimension)
        return self.inner.encode(vectors if self.rotation is None else vectors @ self.rotation.T)

    def decode(self, codes: Codes) -> Vectors:
        return self.inner.decode(codes) @ self.query_map

    def score(self, queries: Vectors, codes: Codes) -> Vectors:
        return self.inner.score(as_vectors(queries, self.dimension) @ self.query_map.T, codes)

    def state(self) -> State:
        rotation = {} if self.rotation is None else {"rotation": self.rotation}
        return with_inner({"query_map": self.query_map, **rotation}, self.inner)


def restoring(inner: Callable[[State], Product | Residual]) -> Callable[[State], Mapped]:
    """How to restore a mapped codec whose inner one `inner` restores."""

    def restore(state: State) -> Mapped:
        rotation = state["rotation"].astype(np.float32) if "rotation" in state else None
        return Mapped(rotation, state["query_map"].astype(np.float32), inner(inner_of(state)))

    return restore
