"""What every side of the benchmark indexes and is asked, and the truth it is held against; kept on disk."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure import say
from pieces import encoded

K = 10
TIE = 1e-6  # a score not further below the k-th exact one is a hit
QUERIES = 2000  # texts of their own, asked and not indexed
ASKED, TRULY = 1000, 300  # queries that are timed; those of a filtered search
SHARES = (1.0, 0.1, 0.01, 0.001, 0.0001)  # of the documents that a filter lets through

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Corpus:
    """The first so many texts of a folder, with unit vectors, and a column of numbers 0 … n−1 in a drawn order."""

    folder: Path
    count: int

    @classmethod
    def made(cls, work: Path, data: Path, texts: int, count: int) -> Corpus:
        """The corpus of so many of the texts in a folder, which are made where they are not there."""
        folder = work / f"pieces-{texts}"
        if not (folder / "texts.jsonl").exists():
            folder.mkdir(parents=True, exist_ok=True)
            found, vectors = encoded(work, data, texts + QUERIES)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            np.save(folder / "queries.npy", vectors[:QUERIES])
            np.save(folder / "documents.npy", vectors[QUERIES:])
            (folder / "texts.jsonl").write_text("".join(json.dumps(text) + "\n" for text in found[QUERIES:]))
            say(f"{len(found):,} texts")
        return cls(folder, count)

    @cached_property
    def vectors(self) -> Vectors:
        """Vectors of the documents (n, d), mapped from the disk."""
        return np.load(self.folder / "documents.npy", mmap_mode="r")[: self.count]

    @cached_property
    def queries(self) -> Vectors:
        """Vectors of the queries (Q, d)."""
        return np.load(self.folder / "queries.npy")

    @property
    def ranks(self) -> NDArray[np.int32]:
        """The number of each document, (n,): a filter of share s lets those below s · n through."""
        return np.random.default_rng(7).permutation(self.count).astype(np.int32)

    def texts(self) -> list[str]:
        """Texts of the documents."""
        with (self.folder / "texts.jsonl").open() as lines:
            return [json.loads(line) for _, line in zip(range(self.count), lines, strict=False)]

    def below(self, share: float) -> int:
        """Documents that a filter of this share lets through."""
        return max(1, round(share * self.count))

    def truth(self, share: float = 1.0) -> Vectors:
        """Exact scores of the k best of the documents that a filter lets through, for each query asked (Q, k)."""
        path = self.folder / f"truth-{self.count}-{share:g}.npy"
        if not path.exists():
            from nearfar.index.exact import top_k

            rows = np.flatnonzero(self.ranks < self.below(share))
            asked = self.queries[: ASKED if share == 1 else TRULY]
            np.save(path, top_k(asked, self.vectors[rows], K)[1])
        return np.load(path)

    def scored(self, found: Rows, share: float = 1.0) -> dict[str, Any]:
        """Recall@k of the rows found (Q, k), −1 where a place is empty; and the empty places that need not be."""
        truth, queries = self.truth(share)[: len(found)], self.queries[: len(found)]
        scores = np.einsum("qkd,qd->qk", self.vectors[np.maximum(found, 0)], queries)
        outside = (found < 0) | (self.ranks[np.maximum(found, 0)] >= self.below(share))
        hits = (np.where(outside, -np.inf, scores) >= truth[:, -1:] - TIE).sum(axis=1) / truth.shape[1]
        return {"recall@10": float(np.minimum(hits, 1).mean()),
                "empty": int((found[:, : truth.shape[1]] < 0).sum()), "places": truth.size}  # fmt: skip
