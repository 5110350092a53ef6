"""Figures of a cloud of vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nearfar.core.ragged import Ragged

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]

MOST_ROWS = 2000  # a sample of that many tells the figures of a cloud to the second digit
BLOCK_SCORES = 1 << 22
LEAST_COSINE = 0.95  # from which two texts are nearly one
DEAD = 0.05  # spread of a dimension, in that of a sphere's, under which it tells nothing


def unit(vectors: Vectors) -> Vectors:
    """The rows with length one; a row of zeros stays so."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return scaled


def sample(vectors: Vectors, rows: int = MOST_ROWS) -> Vectors:
    """At most so many of the rows, drawn by a fixed seed."""
    if len(vectors) <= rows:
        return vectors
    return vectors[np.sort(np.random.default_rng(0).permutation(len(vectors))[:rows])]


def spread(vectors: Vectors) -> NDArray[np.float64]:
    """Standard deviation of each dimension of unit vectors (n, d), times √d: 1 on average on a sphere; (d,)."""
    deviation: NDArray[np.float64] = vectors.std(axis=0, dtype=np.float64) * np.sqrt(vectors.shape[1])
    return deviation


def effective_rank(vectors: Vectors) -> float:
    """Perplexity of the singular values as shares of their sum: RankMe (Garrido et al., 2023)."""
    values = np.linalg.svd(vectors.astype(np.float64), compute_uv=False)
    if not (total := values.sum()):
        return 0.0
    shares = values[values > 0] / total
    return float(np.exp(-(shares * np.log(shares)).sum()))


def mean_cosine(vectors: Vectors) -> float:
    """Mean cosine of two different rows of unit vectors (n, d): (‖Σx‖² − n) / (n² − n)."""
    n = len(vectors)
    return float((np.square(vectors.sum(axis=0, dtype=np.float64)).sum() - n) / (n * n - n))


def uniformity(vectors: Vectors) -> float:
    """The energy log E exp(−2‖x − y‖²) over pairs of different rows of unit vectors (n, d) (Wang and Isola, 2020)."""
    n = len(vectors)
    similar = np.exp(4 * (vectors @ vectors.T).astype(np.float64) - 4)
    return float(np.log((similar.sum() - np.trace(similar)) / (n * n - n)))


def alignment(queries: Vectors, documents: Vectors) -> float:
    """E‖q − d‖² over relevant pairs of unit vectors, both (n, d) (Wang and Isola, 2020)."""
    return float(np.square(queries - documents, dtype=np.float64).sum(axis=1).mean())


def near_duplicates(vectors: Vectors, rows: Rows) -> Ragged:
    """For each of `rows`, the other vectors (D, d) with a cosine of `LEAST_COSINE` or more; (len(rows)).

    The vectors are centred first: in a cone that all texts share, two texts are not alike for being in it.
    """
    directions = unit(unit(vectors) - unit(vectors).mean(axis=0))
    size = max(1, BLOCK_SCORES // max(1, len(directions)))
    found = []
    for start in range(0, len(rows), size):
        block = rows[start : start + size]
        near = directions[block] @ directions.T >= LEAST_COSINE
        near[np.arange(len(block)), block] = False
        found += [np.flatnonzero(row).astype(np.int32) for row in near]
    return Ragged.of(found)
