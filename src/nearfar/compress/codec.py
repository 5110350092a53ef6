"""What every codec is: vectors to bytes, and scores of queries against the bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nearfar.compress.learning import DEFAULT, Learning
from nearfar.core.ragged import Ragged

Vectors = NDArray[np.float32]
Codes = NDArray[np.uint8]  # (n, size_bytes)
State = Mapping[str, NDArray[np.generic]]  # everything a fitted codec is, by name; never objects


Watch = Callable[[int, NDArray[np.int64], float], None]  # step, codes (n, M) as names of centroids, mean squared error

INNER = "inner."  # before the names of an inner codec's arrays


class Codec(Protocol):
    """A fitted codec. It compresses documents; queries stay as they are, so distances are asymmetric."""

    @property
    def dimension(self) -> int:
        """The d of the vectors it takes."""

    @property
    def size_bytes(self) -> int:
        """Bytes of one code."""

    def encode(self, vectors: Vectors) -> Codes:
        """Codes (n, size_bytes) of vectors (n, d)."""

    def decode(self, codes: Codes) -> Vectors:
        """Vectors (n, d) whose inner product with a query is the code's score."""

    def score(self, queries: Vectors, codes: Codes) -> Vectors:
        """Inner products (Q, n) of queries (Q, d) with what the codes stand for: queries @ decode(codes).T, sooner."""

    def state(self) -> State:
        """Arrays that make the codec again, by `Kind.restore`."""


@dataclass(frozen=True)
class Sample:
    """What a codec is fitted on."""

    vectors: Vectors  # (n, d) documents
    queries: Vectors  # (Q, d), none where they are unknown
    positives: Ragged | None = None  # of each query, rows of `vectors`; None without labels
    seed: int = 0
    learning: Learning = DEFAULT  # of a learned codec
    watch: Watch | None = None  # called after each round of its learning


@dataclass(frozen=True)
class Kind:
    """A codec that can be fitted: what it is for, where it comes from, and what sizes it has."""

    purpose: str
    source: str
    sizes: Callable[[int], Sequence[int]]  # dimension → bytes a vector that it can have, rising; known before fitting
    fit: Callable[[Sample, int], Codec]  # the sample, bytes a vector
    restore: Callable[[State], Codec]
    fewest: Callable[[int], int] = lambda _: 1  # bytes → documents that it must be fitted on
    learned: bool = False  # whether it is fitted to retrieval, by queries
    labelled: bool = False  # whether these queries must come with their documents
    codebooks: bool = False  # whether a code names a centroid of each of several codebooks
    bits: int = 8  # of such a name
    settings: frozenset[str] = frozenset()  # of its learning, that it heeds


def with_inner(state: State, inner: Codec) -> State:
    """The arrays of a codec and of another inside of it."""
    return {**state, **{INNER + name: array for name, array in inner.state().items()}}


def inner_of(state: State) -> State:
    """The arrays of the inner codec."""
    return {name.removeprefix(INNER): array for name, array in state.items() if name.startswith(INNER)}
