"""Weights of tokens as columns of a table: what a learned sparse encoder says of each document."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from nearfar.index.table import BATCH_ROWS, TOKENS, WEIGHTS, Table

Weights = sparse.csr_array  # (D, V)

FIELDS = (pa.field(TOKENS, pa.list_(pa.int32()), nullable=False),
          pa.field(WEIGHTS, pa.list_(pa.float16()), nullable=False))  # fmt: skip


def columns_of(weights: Weights) -> dict[str, Any]:
    """Two columns of lists, the numbers of the tokens and their weights, from weights (D, V)."""
    offsets: Any = pa.array(weights.indptr.astype(np.int32))
    tokens, halves = weights.indices.astype(np.int32), weights.data.astype(np.float16)
    values: dict[str, Any] = {TOKENS: pa.array(tokens), WEIGHTS: pa.array(halves)}
    return {name: pa.ListArray.from_arrays(offsets, array) for name, array in values.items()}


def weights_of(table: Table, rows: NDArray[np.integer[Any]] | None = None) -> Weights:
    """Weights (n, V) of the documents in these rows of a table, in the order given, or of all; V ends with the last
    token that one of them has.
    """
    wanted = np.arange(len(table)) if rows is None else rows
    return joined([table.take(wanted[start : start + BATCH_ROWS], [TOKENS, WEIGHTS])
                   for start in range(0, len(wanted), BATCH_ROWS)])  # fmt: skip


def joined(parts: list[pa.Table]) -> Weights:
    """Weights (n, V) of the rows of tables, one after the other; V ends with the last token that one of them has."""
    columns: list[list[Any]] = [[part[name].combine_chunks() for part in parts] for name in (TOKENS, WEIGHTS)]
    lengths = [np.diff(column.offsets.to_numpy()) for column in columns[0]]
    tokens, weights = (_flat(column) for column in columns)
    offsets = np.concatenate([[0], np.cumsum(np.concatenate([np.empty(0, np.int64), *lengths]), dtype=np.int64)])
    shape = (len(offsets) - 1, 1 + int(tokens.max(initial=-1)))
    return Weights((weights.astype(np.float32), tokens, offsets), shape=shape)


def _flat(column: list[Any]) -> NDArray[Any]:
    parts = [part.flatten().to_numpy(zero_copy_only=False) for part in column]
    return np.concatenate(parts) if parts else np.empty(0, np.int32)
