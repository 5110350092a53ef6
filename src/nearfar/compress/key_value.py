"""Frozen keys choose the codes, and values that learn say what they stand for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nearfar.compress.check import as_codes, as_vectors
from nearfar.compress.codec import Codec, Codes, Kind, Sample, State, Vectors, inner_of, with_inner
from nearfar.compress.learning import ALL, OF_CENTROIDS
from nearfar.compress.lookup import Tables, by_tables
from nearfar.compress.optimized import OPQ
from nearfar.compress.product import fewest
from nearfar.compress.residual import RQ


@dataclass(frozen=True)
class KeyValue:
    """M heads: the nearest of a head's K keys is its code c_m, and a document stands for Σ_m values[m, c_m].

    Keys are product centroids after OPQ's rotation and never change, so neither does a code. Learning further from
    pairs of some documents changes the values of the keys that these use, and no other (Träuble et al., 2023).
    """

    keys: Codec  # product codes after a rotation
    values: Vectors  # (M, K, d)

    @property
    def dimension(self) -> int:
        return int(self.values.shape[2])

    @property
    def size_bytes(self) -> int:
        return len(self.values)

    def encode(self, vectors: Vectors) -> Codes:
        return self.keys.encode(vectors)

    def decode(self, codes: Codes) -> Vectors:
        decoded = np.zeros((len(codes), self.dimension), np.float32)
        for book, column in zip(self.values, as_codes(codes, self.size_bytes).T, strict=True):
            decoded += book[column]
        return decoded

    def score(self, queries: Vectors, codes: Codes) -> Vectors:
        queries = as_vectors(queries, self.dimension)
        return by_tables(queries, as_codes(codes, self.size_bytes), self._tables)

    def state(self) -> State:
        return with_inner({"values": self.values}, self.keys)

    def _tables(self, queries: Vectors) -> Tables:
        tables: Tables = self.values @ queries.T  # (M, K, Q)
        return tables


def _fit(sample: Sample, size_bytes: int) -> KeyValue:
    from nearfar.compress.learn.key_value import fit  # torch: a fitted codec needs none

    return fit(sample, size_bytes)


def _restore(state: State) -> KeyValue:
    return KeyValue(OPQ.restore(inner_of(state)), state["values"].astype(np.float32))


KEY_VALUE = Kind(
    "frozen keys, and values learnt from labelled queries: more pairs change values, never codes",
    "after the Discrete Key-Value Bottleneck (Träuble et al., 2023)",
    RQ.sizes, _fit, _restore, fewest, learned=True, codebooks=True, labelled=True,
    settings=ALL - OF_CENTROIDS)  # fmt: skip
