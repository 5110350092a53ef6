"""What the models of an index say of documents: vectors, and weights of tokens where it has a sparse encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from nearfar.index.table import TOKENS, VECTOR, column_of, numbers
from nearfar.index.token_weights import FIELDS, columns_of, joined

Vectors = NDArray[np.float32]
Weights = sparse.csr_array  # (n, V)


@dataclass(frozen=True)
class Encoded:
    """Vectors (n, d), and weights of tokens (n, V) or none."""

    vectors: Vectors
    weights: Weights | None = None

    @classmethod
    def stored(cls, rows: pa.Table) -> Encoded:
        """What rows of an index's table hold."""
        return cls(numbers(rows[VECTOR]), joined([rows]) if TOKENS in rows.schema.names else None)

    def replaced(self, rows: Sequence[int], new: Encoded) -> Encoded:
        """The same with these rows taken from others, in their order."""
        vectors, order = self.vectors.copy(), np.arange(len(self.vectors))
        vectors[rows] = new.vectors
        if self.weights is None or new.weights is None:
            return Encoded(vectors)
        order[rows] = len(order) + np.arange(len(rows))
        width = max(self.weights.shape[1], new.weights.shape[1])
        both = [_widened(one, width) for one in (self.weights, new.weights)]
        return Encoded(vectors, sparse.vstack(both, format="csr")[order])

    @property
    def fields(self) -> list[Any]:
        """Columns of the weights."""
        return [] if self.weights is None else [*FIELDS]

    def columns(self) -> dict[str, Any]:
        """All of it as columns of an index's table."""
        more = {} if self.weights is None else columns_of(self.weights)
        return {VECTOR: column_of(self.vectors), **more}


def _widened(weights: Weights, width: int) -> Weights:
    return Weights((weights.data, weights.indices, weights.indptr), shape=(weights.shape[0], width))
