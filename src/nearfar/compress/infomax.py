"""Codes that tell most about the query a document answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nearfar.compress.check import as_codes, as_vectors
from nearfar.compress.codec import Codes, Kind, Sample, State, Vectors
from nearfar.compress.lookup import Tables, by_tables
from nearfar.compress.product import fewest
from nearfar.compress.residual import RQ

BLOCK_ROWS = 1 << 10  # of logits held while encoding


@dataclass(frozen=True)
class Infomax:
    """M distributions over K codes, p_m(k|x) = softmax_k⟨W_mk, x⟩; a document's code is where each is largest.

    A query scores a code by Σ_m log p_m(c_m|q), as in DIMCO (Lee et al., 2022). Its normaliser depends on the
    query alone, so that base + scale · Σ_m W_m[c_m] ranks the same; base and scale bring it nearest to the documents.
    """

    logits: Vectors  # W (M, K, d)
    base: Vectors  # (d,)
    scale: float

    @property
    def dimension(self) -> int:
        return len(self.base)

    @property
    def size_bytes(self) -> int:
        return len(self.logits)

    def encode(self, vectors: Vectors) -> Codes:
        vectors = as_vectors(vectors, self.dimension)
        codes = np.empty((len(vectors), self.size_bytes), np.uint8)
        for start in range(0, len(vectors), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            for number, book in enumerate(self.logits):
                codes[block, number] = (vectors[block] @ book.T).argmax(axis=1)
        return codes

    def decode(self, codes: Codes) -> Vectors:
        total = np.zeros((len(codes), self.dimension), np.float32)
        for book, column in zip(self.logits, as_codes(codes, self.size_bytes).T, strict=True):
            total += book[column]
        return self.base + np.float32(self.scale) * total

    def score(self, queries: Vectors, codes: Codes) -> Vectors:
        queries = as_vectors(queries, self.dimension)
        parts = by_tables(queries, as_codes(codes, self.size_bytes), self._tables)
        return (queries @ self.base)[:, None] + np.float32(self.scale) * parts

    def state(self) -> State:
        return {"logits": self.logits, "base": self.base, "scale": np.array(self.scale)}

    def _tables(self, queries: Vectors) -> Tables:
        tables: Tables = self.logits @ queries.T  # (M, K, Q)
        return tables


def _fit(sample: Sample, size_bytes: int) -> Infomax:
    from nearfar.compress.learn.infomax import fit  # torch: a fitted codec needs none

    return fit(sample, size_bytes)


def _restore(state: State) -> Infomax:
    return Infomax(state["logits"].astype(np.float32), state["base"].astype(np.float32), float(state["scale"]))


INFOMAX = Kind(
    "codes that tell most about the query a document answers; needs labelled queries",
    "Discrete Infomax Codes (Lee et al., 2022)",
    RQ.sizes, _fit, _restore, fewest, learned=True, codebooks=True, labelled=True)  # fmt: skip
