"""What ranks the candidates of mining: BM25, the vectors of a model, or the codes that a run keeps of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

from nearfar.compress.codec import Codec
from nearfar.core.artifact import identity
from nearfar.core.errors import BadInput, excerpt
from nearfar.data.batches import BatchSource, Ids
from nearfar.data.pool import FloatArray, IntArray, Pool, Ranker
from nearfar.encoder.encode import open_store
from nearfar.encoder.encoder import Encoder, Role
from nearfar.encoder.load import load_encoder
from nearfar.encoder.precision import Policy
from nearfar.index.codes import CODEC, KIND, open_codes
from nearfar.index.exact import check_space, top_k
from nearfar.pipeline.config import LEXICAL
from nearfar.pipeline.evaluate import Space
from nearfar.pipeline.progress import Reporter
from nearfar.text.bm25 import BM25, K1, B
from nearfar.text.words import VERSION

CHUNK_PAIRS = 1 << 14

Model = str | Path | SentenceTransformer | Encoder


@dataclass(frozen=True)
class Vectors:
    """Ranks by inner products of the pool's vectors."""

    queries: FloatArray  # (Q, d)
    documents: FloatArray  # (D, d)

    def search(self, queries: Ids, k: int) -> tuple[IntArray, FloatArray]:
        return top_k(self.queries[queries], self.documents, k)

    def scores(self, queries: Ids, documents: Ids) -> FloatArray:
        scores = np.empty(len(queries), np.float32)
        for start in range(0, len(queries), CHUNK_PAIRS):
            part = slice(start, start + CHUNK_PAIRS)
            scores[part] = np.einsum("nd,nd->n", self.queries[queries[part]], self.documents[documents[part]])
        return scores


@dataclass(frozen=True)
class Lexical:
    """Ranks by BM25."""

    engine: BM25
    queries: list[str]  # (Q)

    def search(self, queries: Ids, k: int) -> tuple[IntArray, FloatArray]:
        return self.engine.search([self.queries[i] for i in queries], k)

    def scores(self, queries: Ids, documents: Ids) -> FloatArray:
        asked, row = np.unique(queries, return_inverse=True)
        return self.engine.scores([self.queries[i] for i in asked], row, documents)


@dataclass(frozen=True)
class System:
    """BM25, a model, or codes, with the fingerprint of what it computes."""

    encoder: Encoder | None
    identity: str
    codec: Codec | None = None  # of the codes that documents are scored by

    @classmethod
    def open(cls, name: Model, policy: Policy) -> System:
        if name == LEXICAL:
            return cls(None, f"{LEXICAL} {K1} {B} {VERSION}")
        if isinstance(name, str | Path) and (Path(name) / CODEC).is_dir():
            return cls._of_codes(Path(name), policy)
        encoder = load_encoder(name, policy.device)
        return cls(encoder, encoder.fingerprint())

    @classmethod
    def _of_codes(cls, path: Path, policy: Policy) -> System:
        """A run's codes, RUN/codes/BYTES, and the model of that run."""
        coded, encoder = open_codes(path), load_encoder(path.parent.parent, policy.device)
        check_space(coded.fingerprint, encoder.fingerprint())
        return cls(encoder, identity(path, KIND), coded.codec)

    def ranker(self, pool: Pool, policy: Policy, reporter: Reporter) -> Ranker:
        """The system over the texts of the pool."""
        if self.encoder is None:
            queries, documents = ([pool.source.texts[i] for i in side] for side in (pool.queries, pool.documents))
            return Lexical(BM25(documents), queries)
        found = vectors(pool, Space(self.encoder, policy, open_store(self.encoder), reporter))
        if self.codec is None:
            return found
        return replace(found, documents=self.codec.decode(self.codec.encode(found.documents)))


def vectors(pool: Pool, space: Space) -> Vectors:
    """Encode the queries and documents of the pool.

    Raises:
        BadInput: a vector is not finite: nothing can be compared with it.
    """
    return Vectors(_encoded(pool.source, pool.queries, "query", space),
                   _encoded(pool.source, pool.documents, "document", space))  # fmt: skip


def _encoded(source: BatchSource, rows: Ids, role: Role, space: Space) -> FloatArray:
    title = {"query": "encoding queries", "document": "encoding documents"}[role]
    every = source.tasks()
    found = space.vectors([source.texts[i] for i in rows], role, title, [every[i] for i in rows] if every else [])
    if len(bad := np.flatnonzero(~np.isfinite(found).all(axis=1))):
        raise BadInput.at(f"{role} {excerpt(source.texts[rows[bad[0]]])}", expected="a finite vector",
                          found="NaN or infinity", do="check the model")  # fmt: skip
    return found
