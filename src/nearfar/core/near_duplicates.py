"""Texts that say nearly the same, by their tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash, RMinHashLSH
from scipy import sparse

from nearfar.core.ragged import Ragged

LEAST_JACCARD = 0.8
PERMUTATIONS, BANDS = 160, 32  # finds a pair of Jaccard 0.8 with 1 − (1 − 0.8⁵)³² > 0.99999
BLOCK_PAIRS = 1 << 16
TOKEN = re.compile(r"\w+|[^\w\s]")

Ids = NDArray[np.integer[Any]]


def tokens(text: str) -> set[str]:
    """Different words, numbers and signs of a text, case-folded."""
    return set(TOKEN.findall(text.casefold()))


def by_tokens(sets: Sequence[set[str]], rows: Ids) -> Ragged:
    """For each of `rows`, the other texts with a Jaccard of `LEAST_JACCARD` or more; (len(rows)).

    Candidates come from MinHash (Broder, 1997), and each is verified by its tokens. Texts without tokens have none.
    """
    hashes = RMinHash.from_token_sets([sorted(found) for found in sets], PERMUTATIONS, 0)
    table = RMinHashLSH(LEAST_JACCARD, PERMUTATIONS, BANDS)
    table.insert_many(hashes)
    candidates = Ragged.of(table.query_all([hashes[row] for row in rows.tolist()]))
    first, second = candidates.row_of_value(), candidates.values
    similar = _jaccard(_incidence(sets), rows[first], second) >= LEAST_JACCARD
    kept = similar & (rows[first] != second)
    return Ragged.from_pairs(first[kept].astype(np.int32), second[kept], len(rows))


def _incidence(sets: Sequence[set[str]]) -> sparse.csr_array:
    """Which text holds which token, (texts, tokens)."""
    number: dict[str, int] = {}
    rows = Ragged.of([[number.setdefault(token, len(number)) for token in sorted(found)] for found in sets])
    ones = np.ones(len(rows.values), np.int32)
    return sparse.csr_array((ones, rows.values, rows.offsets), shape=(len(sets), max(1, len(number))))


def _jaccard(incidence: sparse.csr_array, first: Ids, second: Ids) -> NDArray[np.float64]:
    """Of the texts of each pair, both (n,); 0 where both have no token."""
    sizes = np.diff(incidence.indptr)
    shared = np.zeros(len(first), np.int64)
    for start in range(0, len(first), BLOCK_PAIRS):
        block = slice(start, start + BLOCK_PAIRS)
        shared[block] = incidence[first[block]].multiply(incidence[second[block]]).sum(axis=1)
    jaccard: NDArray[np.float64] = shared / np.maximum(sizes[first] + sizes[second] - shared, 1)
    return jaccard
