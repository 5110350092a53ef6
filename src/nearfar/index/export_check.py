"""What leaves for another store, and whether that store scores it as we do."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfar.compress.codec import Codec, Codes, Vectors
from nearfar.core.errors import BadInput
from nearfar.index.exact import BLOCK_SCORES

KIND = "export"
IDS = "ids.json"
TOLERANCE = 1e-4  # of the largest score: sums of float32 in another order
FIRST = 10  # documents of a query that are looked at as a set
THOROUGH = 8  # queries that are compared at every document
DEPTH = 100  # documents of each further query that are compared

Rows = NDArray[np.int64]
Search = Callable[[Vectors, int], tuple[Rows, Vectors]]  # queries (Q, d), k → rows and scores (Q, k), best first
Score = Callable[[Vectors], Vectors]  # queries (Q, d) → our own scores (Q, n)


@dataclass(frozen=True)
class Leaving:
    """Coded documents, and the queries by which a copy of them is checked."""

    name: str  # of the codec
    codec: Codec
    codes: Codes  # (n, size_bytes)
    ids: Sequence[str]
    queries: Vectors  # (Q, d)
    vectors: Vectors | None = None  # (n, d), may be memory-mapped; where the store is to hold them too
    meta: Mapping[str, Any] = field(default_factory=dict)  # of the model and the codec, kept beside the copy

    def scores(self, queries: Vectors) -> Vectors:
        """Our own scores (Q, n)."""
        return self.codec.score(queries, self.codes)

    def save_ids(self, folder: Path) -> None:
        """Write the ids, row by row, for a store that knows documents by number alone."""
        (folder / IDS).write_text(json.dumps(list(self.ids)), encoding="utf-8")


@dataclass(frozen=True)
class Agreement:
    """How near a copy's scores are to ours."""

    queries: int
    worst: float  # largest difference of a score, as a part of the largest score
    overlap: float  # share of the ten best that are so by our scores


@dataclass(frozen=True)
class Rule:
    """How far a copy may be from us."""

    tolerance: float = TOLERANCE  # of scores, as a part of the largest one met
    overlap: float = 0.0  # of the ten best, at least; 0 where scores leave no doubt


EXACT, EQUAL = Rule(), Rule(0.0)


def agreement(where: Path, leaving: Leaving, search: Search, score: Score, rule: Rule = EXACT) -> Agreement:
    """Compare a copy's search with our own scores: every document for the first queries, the best for all.

    The scores of the best are compared with those of our own best too, so that none is left out; ties may trade places.

    Args:
        where: the copy, as errors name it.
        search: of the copy, exhaustive: all partitions probed.

    Raises:
        BadInput: there are no queries, a document is missing in the copy, a score differs, or the best are others.
    """
    if not len(leaving.queries) or not len(leaving.codes):
        raise BadInput.at(where, expected="documents, and queries to check the copy with", found="none",
                          do="export a run that has a dev or test set")  # fmt: skip
    size = max(1, BLOCK_SCORES // len(leaving.codes))
    parts = [(slice(start, start + size), DEPTH) for start in range(0, len(leaving.queries), size)]
    parts += [(slice(row, row + 1), len(leaving.codes)) for row in range(min(THOROUGH, len(leaving.queries)))]
    several = [_compared(where, leaving.queries[part], search, score, k) for part, k in parts]
    found, overlap = _worst(several), float(np.concatenate([one.overlaps for one in several]).mean())
    if not found.worst <= rule.tolerance * found.largest:  # NaN differs
        raise BadInput.at(where, expected=f"scores within {rule.tolerance:g} of the largest, {found.largest:.4g}",
                          found=f"document '{leaving.ids[found.row]}' {found.worst:.3g} off",
                          do="make the codes again, as codes and codebooks do not belong together")  # fmt: skip
    if overlap < rule.overlap:
        raise BadInput.at(where, expected=f"{rule.overlap:.0%} of the ten best as by our scores",
                          found=f"{overlap:.2%}", do="take codes of more bytes, or an exact form")  # fmt: skip
    return Agreement(len(leaving.queries), found.worst / (found.largest or 1.0), overlap)


@dataclass(frozen=True)
class _Compared:
    worst: float  # largest difference, and
    row: int  # its document
    largest: float  # score by its size
    overlaps: Vectors  # (Q,) share of the ten best that are so by our scores, equal ones counting alike


def _worst(parts: Sequence[_Compared]) -> _Compared:
    worst = max(parts, key=lambda part: np.nan_to_num(part.worst, nan=np.inf))
    return replace(worst, largest=max(part.largest for part in parts))


def _compared(where: Path, queries: Vectors, search: Search, score: Score, k: int) -> _Compared:
    scores = score(queries)
    k = min(k, scores.shape[1])
    rows, theirs = search(queries, k)
    _check_whole(where, rows, scores.shape[1])
    at_rows = np.take_along_axis(scores, rows, axis=1)
    best = -np.sort(np.partition(-scores, k - 1, axis=1)[:, :k], axis=1)
    off = np.maximum(np.abs(at_rows - theirs), np.abs(best - theirs))
    query, place = np.unravel_index(np.argmax(off), off.shape)
    first = slice(min(FIRST, k))
    overlaps = (at_rows[:, first] >= best[:, first][:, -1:]).mean(axis=1)
    return _Compared(float(off[query, place]), int(rows[query, place]), float(np.abs(scores).max()), overlaps)


def _check_whole(where: Path, rows: Rows, documents: int) -> None:
    """Refuse results that are too few, repeat a document or name one that is not there."""
    ordered = np.sort(rows, axis=1)
    if (ordered[:, 0] < 0).any() or (ordered[:, -1] >= documents).any() or (np.diff(ordered, axis=1) == 0).any():
        raise BadInput.at(where, expected=f"each of {documents:,} documents once", found="one missing or twice",
                          do="make the codes again")  # fmt: skip
