"""The data model: queries, documents, and per split the judged pairs between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nearfar.core.ragged import Ragged

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Texts:
    """Texts with an id each, and the group (entity) each belongs to, "" where there is none."""

    ids: Sequence[str]
    texts: Sequence[str]
    groups: Sequence[str] = ()  # empty, or one a text

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Pairs:
    """Judged (query, document) pairs as row numbers into a data set's queries and documents."""

    queries: NDArray[np.int32]  # (n,)
    documents: NDArray[np.int32]  # (n,)
    scores: NDArray[np.float32]  # (n,) relevance; > 0 is relevant, ≤ 0 a judged negative

    @classmethod
    def of(cls, rows: Sequence[tuple[int, int, float]]) -> Pairs:
        """Build from (query, document, score) triples."""
        table = np.array(rows, dtype=np.float64).reshape(-1, 3)
        return cls(table[:, 0].astype(np.int32), table[:, 1].astype(np.int32), table[:, 2].astype(np.float32))

    def __len__(self) -> int:
        return len(self.queries)

    def where(self, keep: NDArray[np.bool_]) -> Pairs:
        """The pairs at which `keep` (n,) is true."""
        return Pairs(self.queries[keep], self.documents[keep], self.scores[keep])

    @property
    def relevant(self) -> Pairs:
        """The pairs with a score above zero."""
        return self.where(self.scores > 0)


@dataclass(frozen=True)
class Judged:
    """The judged queries of one split: `queries[i]` has the relevant `documents[i]` with `gains[i]`."""

    queries: NDArray[np.int32]  # (Q,) rows of the data set's queries
    documents: Ragged  # (Q) rows of document rows
    gains: NDArray[np.float32]  # (documents.offsets[-1],)


@dataclass(frozen=True)
class Dataset:
    """A retrieval data set in memory; `notices` say what was done to the user's input to get it."""

    name: str
    queries: Texts
    documents: Texts
    splits: Mapping[str, Pairs]  # keys from SPLITS; hard negatives are pairs with score ≤ 0
    notices: tuple[str, ...] = field(default=())

    def judged(self, split: str) -> Judged:
        """The relevant documents of every query of `split`, in order of the queries' rows."""
        pairs = self.splits[split].relevant
        rows, index = np.unique(pairs.queries, return_inverse=True)
        order = np.argsort(index, kind="stable")
        documents = Ragged.from_pairs(index.astype(np.int32), pairs.documents, len(rows))
        return Judged(rows.astype(np.int32), documents, pairs.scores[order])
