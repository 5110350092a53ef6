"""What negatives are mined from: every training query against every document, and what can be no negative."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nearfar.core.ragged import Ragged
from nearfar.core.targets import NO_GROUP
from nearfar.data.batches import BatchSource, Ids
from nearfar.data.dataset import Dataset

CHUNK_CANDIDATES = 1 << 20  # candidates held at once: some 50 MB with their scores and masks

IntArray = NDArray[np.int32]
FloatArray = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Ranker(Protocol):
    """A system that scores documents for queries, both as positions in `Pool.queries` and `Pool.documents`."""

    def search(self, queries: Ids, k: int) -> tuple[IntArray, FloatArray]:
        """Documents and scores, both (n, k), of the best for each query, best first; −1 where there are no more."""
        ...

    def scores(self, queries: Ids, documents: Ids) -> FloatArray:
        """Score of each pair (queries[i], documents[i]), (n,)."""
        ...


@dataclass(frozen=True)
class Pool:
    """What negatives are mined from: every training query, against every different document of the data set."""

    source: BatchSource
    queries: Ids  # (Q,) texts of the source, ascending
    documents: Ids  # (D,) texts of the source, ascending

    @cached_property
    def known(self) -> Ids:
        """Ascending keys of all relevant (query, document) texts, of whatever split."""
        return np.sort(self._key(self.source.known.row_of_value(), self.source.known.values.astype(np.int64)))

    @cached_property
    def positives(self) -> Ragged:
        """(Q) positions of the training positives of each query."""
        rows = [self.source.relevant[int(query)] for query in self.queries]
        return Ragged.of([np.searchsorted(self.documents, row).astype(np.int32) for row in rows])

    @cached_property
    def excluded(self) -> Ids:
        """How many documents can be no negative of each query, (Q,), at most."""
        groups = self.source.groups
        sizes = np.bincount(groups[self.documents] + 1, minlength=int(groups.max(initial=NO_GROUP)) + 2)
        sizes[0] = 0  # those without a group
        return self.source.known.lengths[self.queries] + 1 + sizes[groups[self.queries] + 1]

    def may_be_negative(self, queries: Ids, documents: IntArray) -> Mask:
        """(n, k), false at known positives, the query's own text and its group, and where there is no document."""
        asked, found = self.queries[queries][:, None], self.documents[documents]
        keys = self._key(asked, found)
        place = np.minimum(np.searchsorted(self.known, keys), len(self.known) - 1)
        groups = self.source.groups
        same_group = (groups[asked] == groups[found]) & (groups[asked] != NO_GROUP)
        allowed: Mask = (documents >= 0) & (self.known[place] != keys) & (asked != found) & ~same_group
        return allowed

    def lowest_positive(self, ranker: Ranker) -> tuple[IntArray, FloatArray]:
        """The lowest-scored positive of each query, (Q,), and its score, (Q,)."""
        rows, documents = self.positives.row_of_value(), self.positives.values
        scores = ranker.scores(rows, documents.astype(np.int64))
        lowest = np.lexsort((scores, rows))[self.positives.offsets[:-1]]
        return documents[lowest], scores[lowest]

    def chunks(self, depth: int) -> Iterator[tuple[Ids, int]]:
        """Queries to search together and how deep, so that `depth` candidates are left and memory stays bounded."""
        order = np.argsort(self.excluded, kind="stable")  # alike together: the one that needs most sets the depth
        needed = np.minimum(depth + self.excluded[order], len(self.documents))
        start = 0
        while start < len(order):
            size = int(max(1, CHUNK_CANDIDATES // needed[start]))
            while size > 1 and size * needed[start : start + size][-1] > CHUNK_CANDIDATES:
                size //= 2
            yield order[start : start + size], int(needed[start : start + size][-1])
            start += size

    def _key(self, queries: Ids, documents: Ids) -> Ids:
        return queries * len(self.source.texts) + documents


def pool_of(dataset: Dataset, source: BatchSource) -> Pool:
    """The training queries of `dataset` and its different documents, in the numbering of `source`."""
    number = {text: i for i, text in enumerate(source.texts)}
    documents = np.unique(np.array([number[text] for text in dataset.documents.texts], np.int64))
    return Pool(source, np.unique(source.queries), documents)
