"""What a system returned, and what should have been returned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearfar.core.ragged import Ragged

PAD = -1


@dataclass(frozen=True)
class Run:
    """The documents a system returned for each query, best first; no document twice in a row, pads at the end."""

    documents: NDArray[np.int32]  # (Q, k) document rows, PAD where fewer were returned
    scores: NDArray[np.float32]  # (Q, k), meaningless at pads

    @classmethod
    def ranked(cls, documents: NDArray[np.int32], scores: NDArray[np.float32]) -> Run:
        """Order candidates (Q, k) by score; equal scores by document row, so that ties come out the same everywhere."""
        worth = np.where(documents == PAD, -np.inf, scores)
        order = np.lexsort((documents, -worth), axis=1)  # the last key sorts first
        return cls(np.take_along_axis(documents, order, axis=1), np.take_along_axis(scores, order, axis=1))

    def __len__(self) -> int:
        return len(self.documents)

    def top(self, k: int) -> Run:
        """The first k documents of every query."""
        return Run(self.documents[:, :k], self.scores[:, :k])


@dataclass(frozen=True)
class Judgments:
    """The judged documents of each query, none twice; one that is not listed, or has gain ≤ 0, is not relevant."""

    documents: Ragged  # (Q) rows of document rows
    gains: NDArray[np.float32]  # (documents.offsets[-1],)

    def __len__(self) -> int:
        return len(self.documents)

    def gains_of(self, documents: NDArray[np.int32]) -> NDArray[np.float64]:
        """Gain of each returned document (Q, k), 0 at pads and at documents that are not relevant."""
        if not documents.size or not len(self.gains):
            return np.zeros(documents.shape)
        stride = max(int(documents.max()), int(self.documents.values.max())) + 1
        keys = self.documents.row_of_value() * stride + self.documents.values
        order = np.argsort(keys)
        wanted = np.arange(len(documents))[:, None] * stride + documents  # (Q, k)
        place = np.searchsorted(keys, wanted, sorter=order).clip(max=len(keys) - 1)
        found = order[place]
        hit = (keys[found] == wanted) & (documents != PAD)
        return np.where(hit, self.gains[found].clip(min=0), 0).astype(np.float64)

    def relevant(self) -> NDArray[np.int64]:
        """Number of relevant documents of each query, (Q,)."""
        return np.bincount(self.documents.row_of_value()[self.gains > 0], minlength=len(self))

    def ideal(self, k: int) -> NDArray[np.float64]:
        """The k highest gains of each query in falling order, 0 where there are fewer, (Q, k)."""
        rows = self.documents.row_of_value()
        order = np.lexsort((-self.gains, rows))
        column = np.arange(len(rows)) - self.documents.offsets[rows]  # rows are contiguous, so sorting keeps them
        kept = column < k
        best = np.zeros((len(self), k))
        best[rows[kept], column[kept]] = self.gains[order][kept].clip(min=0)
        return best
