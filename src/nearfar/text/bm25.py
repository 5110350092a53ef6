"""BM25: the lexical baseline every trained model must beat, and the other half of hybrid search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import bm25s
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from nearfar.core.artifact import read_manifest, writing
from nearfar.core.errors import BadInput, FingerprintMismatch
from nearfar.core.fingerprint import digest
from nearfar.text.words import VERSION, words

# Lucene's own constants: what Elasticsearch, OpenSearch and Solr answer with, so the baseline is the one users have.
K1, B = 1.2, 0.75
KIND = "bm25"
PAD = -1
NO_TERM = ""  # keeps the vocabulary from being empty; no text contains it
CHUNK_SCORES = 1 << 23  # scores held at a time while searching
CHUNK_PAIRS = 1 << 14

IntArray = NDArray[np.int32]
FloatArray = NDArray[np.float32]


class BM25:
    """score(q, d) = Σ_{t ∈ q} idf(t) · tf / (tf + k1 · (1 − b + b · |d| / avg|d|)), Lucene's form.

    idf(t) = ln(1 + (D − df + 0.5) / (df + 0.5)); a term that is twice in the query counts twice (Kamphuis et al., 2020,
    "Which BM25 Do You Mean?").

    Attributes:
        digest: fingerprint of the documents, in order.
    """

    def __init__(self, documents: Sequence[str]) -> None:
        """Index `documents`, which keep their row numbers.

        Raises:
            BadInput: there is no document.
        """
        if not documents:
            raise BadInput.at("BM25", expected="at least one document", found="none", do="check the corpus")
        vocabulary = {NO_TERM: 0}
        ids = [[vocabulary.setdefault(term, len(vocabulary)) for term in words(text)] for text in documents]
        engine = bm25s.BM25(k1=K1, b=B, method="lucene")
        with np.errstate(invalid="ignore"):  # the mean length of nothing but empty texts is 0
            engine.index((ids, vocabulary), show_progress=False)
        self._adopt(engine, digest(documents))

    @classmethod
    def load(cls, folder: Path, *, documents_digest: str | None = None) -> Self:
        """Read an index that `save` wrote.

        Args:
            documents_digest: of the documents it must belong to, when the caller knows.

        Raises:
            BadInput: the folder is missing, damaged, or made by other rules of splitting text into terms.
            FingerprintMismatch: it indexes other documents.
        """
        meta = read_manifest(folder, KIND)
        if meta["words"] != VERSION:
            found = f"version {meta['words']}"
            raise BadInput.at(folder, expected=f"terms of version {VERSION}", found=found, do="build the index again")
        if documents_digest not in (None, meta["documents"]):
            raise FingerprintMismatch(
                f"{folder}: expected a BM25 index of the documents {documents_digest}, "
                f"found one of {meta['documents']}; build the index again"
            )
        self = cls.__new__(cls)
        self._adopt(bm25s.BM25.load(folder, show_progress=False), meta["documents"])
        return self

    def save(self, folder: Path, *, overwrite: bool = False) -> None:
        """Write the index as an artifact folder of plain arrays and JSON."""
        meta = {"documents": self.digest, "words": VERSION, "count": len(self)}
        with writing(folder, KIND, meta, overwrite=overwrite) as scratch:
            self._engine.save(scratch, show_progress=False)

    def __len__(self) -> int:
        return int(self._scores.shape[1])

    def search(self, queries: Sequence[str], k: int) -> tuple[IntArray, FloatArray]:
        """The k best documents of each query, best first, equal scores by row: rows (Q, k) and scores (Q, k).

        A document without a term of the query is not returned: the places left over hold row −1 and score 0.
        """
        rows = np.full((len(queries), k), PAD, np.int32)
        scores = np.zeros((len(queries), k), np.float32)
        step = max(1, CHUNK_SCORES // len(self))
        for start in range(0, len(queries), step):
            chunk = self._weights(queries[start : start + step]) @ self._scores
            for query in range(chunk.shape[0]):
                inside = slice(chunk.indptr[query], chunk.indptr[query + 1])
                best, worth = _top(chunk.indices[inside], chunk.data[inside], k)
                rows[start + query, : len(best)] = best
                scores[start + query, : len(best)] = worth
        return rows, scores

    def scores(self, queries: Sequence[str], rows: NDArray[np.int64], documents: NDArray[np.int64]) -> FloatArray:
        """Score of each pair (queries[rows[i]], row documents[i]), (n,)."""
        weights, by_document = self._weights(queries), self._scores.T.tocsr()
        values = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), CHUNK_PAIRS):
            chunk = slice(start, start + CHUNK_PAIRS)
            values[chunk] = weights[rows[chunk]].multiply(by_document[documents[chunk]]).sum(axis=1)
        return values

    def _adopt(self, engine: bm25s.BM25, documents_digest: str) -> None:
        self.digest = documents_digest
        self._engine = engine
        self._vocabulary: dict[str, int] = engine.vocab_dict
        stored = engine.scores  # bm25s keeps (documents, terms) by column, which is (terms, documents) by row
        shape = (len(self._vocabulary), stored["num_docs"])
        self._scores = sparse.csr_array((stored["data"], stored["indices"], stored["indptr"]), shape=shape)

    def _weights(self, queries: Sequence[str]) -> sparse.csr_array:
        """How often each known term is in each query, (Q, terms)."""
        known = [[self._vocabulary[term] for term in words(text) if term in self._vocabulary] for text in queries]
        columns = np.array([column for row in known for column in row], np.int64)
        rows = np.repeat(np.arange(len(queries)), np.fromiter(map(len, known), np.int64, len(known)))
        counts = np.ones(len(columns), np.float32)
        return sparse.csr_array((counts, (rows, columns)), shape=(len(queries), len(self._vocabulary)))


def _top(documents: IntArray, scores: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    """The k highest scores in falling order; rows break ties even at the edge, which a partition alone does not."""
    # a positive float's bits order as an integer does: score above, row below, one number to partition and sort
    keys = (-(scores.view(np.int32).astype(np.int64)) << 32) | documents
    if len(keys) > k:
        keys = np.partition(keys, k - 1)[:k]
    keys.sort()
    bits = (-(keys >> 32)).astype(np.int32)
    return (keys & 0x7FFFFFFF).astype(np.int32), bits.view(np.float32)
