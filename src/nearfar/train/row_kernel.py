"""AdamW of the rows that have a gradient, in one pass over memory, on a CPU."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from nearfar.core.compiled import compiled
from nearfar.core.threads import in_slices

Floats = NDArray[np.float32]
Tables = tuple[Floats, Floats]  # weights and second moments, (V, d) each


def adamw_rows(rows: NDArray[np.int64], gradient: Floats, tables: Tables, settings: Floats, threads: int) -> None:
    """Update these rows of the tables.

    Args:
        gradient: (len(rows), d).
        settings: share of the weights that decay leaves, lr, β₂, 1 − β₂, 1 / √(1 − β₂ᵗ), ε.
    """
    in_slices(partial(_adamw_rows, rows, gradient, tables, settings), np.arange(len(rows) + 1), threads)


@compiled(fastmath={"contract"})
def _adamw_rows(
    rows: NDArray[np.int64], gradient: Floats, tables: Tables, settings: Floats, start: int, stop: int
) -> None:
    weights, second = tables
    kept, rate, beta2, rest, root, epsilon = settings
    for i in range(start, stop):
        row = rows[i]
        g, w, v = gradient[i], weights[row], second[row]
        for j in range(len(g)):
            v[j] = beta2 * v[j] + rest * g[j] * g[j]
            w[j] = kept * w[j] - rate * g[j] / (np.sqrt(v[j]) * root + epsilon)
