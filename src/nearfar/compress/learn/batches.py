"""Batches that codebooks learn from: queries, and documents near to some of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from nearfar.compress.codec import Sample

QUERIES = 256  # of a batch
NEIGHBOURS = 100  # documents nearest to a query, out of which
DRAWN = 8  # are drawn in each batch
MOST_QUERIES = 8192  # whose neighbours are looked for


@dataclass(frozen=True)
class Batch:
    """Queries, and documents near to some of them."""

    queries: Tensor  # (Q, d)
    documents: Tensor  # (D,) rows, none twice
    positives: Tensor  # (Q,) places among these documents: a relevant one, or the nearest where none is known


@dataclass(frozen=True)
class Batches:
    """Batches without end, of queries that are drawn."""

    queries: Tensor  # (Q, d)
    positives: Tensor  # (Q,) rows of documents
    near: Tensor  # (Q, NEIGHBOURS) rows of documents, out of which negatives are drawn
    generator: torch.Generator

    @classmethod
    def of(cls, sample: Sample, generator: torch.Generator) -> Batches:
        """Those of a sample: of its documents as queries where it has none."""
        documents, queries, positives = torch.tensor(sample.vectors), torch.tensor(sample.queries), _answers(sample)
        if not len(queries):
            queries, positives = documents, None
        asked = torch.randperm(len(queries), generator=generator)[:MOST_QUERIES]
        near = neighbours(queries[asked], documents)
        return cls(queries[asked], near[:, 0] if positives is None else positives[asked], near, generator)

    def joined(self, near: Tensor) -> Batches:
        """The same, half of whose negatives come from `near`, (Q, NEIGHBOURS)."""
        return replace(self, near=torch.cat([self.near, near], dim=1))

    def draw(self) -> Batch:
        """The next batch."""
        some = torch.randperm(len(self.queries), generator=self.generator)[:QUERIES]
        drawn = torch.randint(self.near.shape[1], (len(some), DRAWN), generator=self.generator)
        wanted = torch.cat([self.positives[some], self.near[some].gather(1, drawn).flatten()])
        rows, places = wanted.unique(return_inverse=True)
        return Batch(self.queries[some], rows, places[: len(some)])


def neighbours(queries: Tensor, documents: Tensor) -> Tensor:
    """The nearest documents of each query, best first, (Q, NEIGHBOURS)."""
    most = min(NEIGHBOURS, len(documents))
    return torch.cat([(block @ documents.T).topk(most).indices for block in queries.split(QUERIES)])


def _answers(sample: Sample) -> Tensor | None:
    """A relevant document of each query, (Q,); None unless each has one."""
    positives = sample.positives
    if positives is None or not len(positives) or np.diff(positives.offsets).min() == 0:
        return None
    return torch.from_numpy(positives.values[positives.offsets[:-1]].astype(np.int64))
