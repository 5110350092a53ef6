"""How far a query is from all queries that were trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from nearfar.diagnose.evidence import Vectors
from nearfar.diagnose.geometry import unit

BLOCK_SCORES = 1 << 23  # similarities held at once


def nearest_vectors(queries: Vectors, others: Vectors) -> tuple[NDArray[np.int64], Vectors]:
    """For each query (Q, d) the row of the nearest of the others (T, d), and the cosine with it; both (Q,)."""
    rows, every = max(1, BLOCK_SCORES // len(others)), unit(others)
    blocks = [unit(queries[start : start + rows]) @ every.T for start in range(0, len(queries), rows)]
    return _best(blocks)


def nearest_words(queries: Sequence[Sequence[str]], others: Sequence[Sequence[str]]) -> tuple[
    NDArray[np.int64], Vectors
]:  # fmt: skip
    """The same by words: cosine of binary vectors weighted by ln(1 + T / df), df over the others' words."""
    vocabulary = {word: number for number, word in enumerate(sorted({w for text in [*queries, *others] for w in text}))}
    frequency = np.ones(len(vocabulary))
    for text in others:
        frequency[[vocabulary[word] for word in set(text)]] += 1
    weights = np.log1p(len(others) / frequency)
    every, asked = (_weighted(texts, vocabulary, weights) for texts in (others, queries))
    rows = max(1, BLOCK_SCORES // len(others))
    return _best([(asked[start : start + rows] @ every.T).toarray() for start in range(0, len(queries), rows)])


def _weighted(
    texts: Sequence[Sequence[str]], vocabulary: dict[str, int], weights: NDArray[np.float64]
) -> sparse.csr_array:
    """Rows of length one, (n, words); a text without words is a row of zeros."""
    ids = [sorted({vocabulary[word] for word in text}) for text in texts]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in ids])])
    columns = np.array([column for row in ids for column in row], np.int64)
    values = weights[columns]
    rows = np.repeat(np.arange(len(ids)), np.diff(offsets))
    lengths = np.sqrt(np.bincount(rows, values**2, minlength=len(ids)))
    return sparse.csr_array((values / lengths[rows], columns, offsets), shape=(len(ids), max(1, len(vocabulary))))


def _best(blocks: Sequence[NDArray[np.floating]]) -> tuple[NDArray[np.int64], Vectors]:
    rows = np.concatenate([block.argmax(axis=1) for block in blocks])
    cosines = np.concatenate([block.max(axis=1) for block in blocks])
    return rows, cosines.astype(np.float32)
