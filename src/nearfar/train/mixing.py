"""Harder negatives made of hard ones: convex combinations of each query's nearest negatives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from nearfar.core.config import Config
from nearfar.core.exclusions import Ids, exclusions
from nearfar.core.ragged import Ragged
from nearfar.core.targets import NO_GROUP, Targets

CHUNK_ELEMENTS = 1 << 22  # scores held at a time


class MixedNegativesConfig(Config):
    count: int = Field(default=0, ge=0)
    """Negatives made for each query out of its hardest ones; 0 for none."""
    hardest: int = Field(default=8, ge=2)
    """How many of a query's nearest negatives are mixed, two at a time."""


@dataclass(frozen=True)
class MixedNegatives:
    """Columns α n + (1 − α) n', n and n' among the nearest negatives of a query, α uniform in (0, 1).

    As in MoCHi (Kalantidis et al., 2020) and the online hard-negative mixing of KaLM-Embedding-V2 (Zhao et al., 2025).
    Every query sees all of them, but for those with a parent that is no negative of its. Gradients reach both parents.
    The draw is seeded by the texts of the columns: no state to keep, and the same in every process with this batch.
    """

    config: MixedNegativesConfig
    unit: bool  # vectors have length 1

    def __call__(self, queries: Tensor, documents: Tensor, targets: Targets) -> tuple[Tensor, Targets]:
        """The documents (D, d) with up to Q · count further ones, and their targets."""
        if not self.config.count:
            return documents, targets
        near = nearest_negatives(queries.detach(), documents.detach(), targets, self.config.hardest)
        generator = np.random.default_rng(crc32(targets.document_texts.tobytes()))
        first, second = self._parents(near, generator)
        if not len(first):
            return documents, targets
        shares = torch.from_numpy(generator.uniform(size=(len(first), 1))).to(documents)
        mixed = torch.lerp(documents[second], documents[first], shares)  # (M, d)
        if self.unit:
            mixed = functional.normalize(mixed, dim=1)
        return torch.cat([documents, mixed]), _with_mixed(targets, first, second)

    def _parents(self, near: Ragged, generator: np.random.Generator) -> tuple[Ids, Ids]:
        """Two different negatives of each query with at least two, `count` times, (M,) each."""
        lengths = np.repeat(near.lengths[near.lengths > 1], self.config.count)
        starts = np.repeat(near.offsets[:-1][near.lengths > 1], self.config.count)
        one = generator.integers(0, lengths)
        other = (one + generator.integers(1, lengths)) % lengths
        return near.values[starts + one].astype(np.int64), near.values[starts + other].astype(np.int64)


def nearest_negatives(queries: Tensor, documents: Tensor, targets: Targets, count: int) -> Ragged:
    """Columns of the `count` nearest negatives of each query, nearest first; fewer where there are fewer."""
    excluded = exclusions(targets, "query", "document")
    found: list[NDArray[np.int32]] = []
    size = max(CHUNK_ELEMENTS // len(documents), 1)
    for start in range(0, len(queries), size):
        rows = np.arange(start, min(start + size, len(queries)))
        scores = queries[start : start + size] @ documents.T  # (rows, D)
        row, column = excluded.pairs(rows)
        scores[torch.from_numpy(row), torch.from_numpy(column.astype(np.int64))] = -torch.inf
        best = scores.topk(min(count, len(documents)), dim=1)
        kept = torch.isfinite(best.values).sum(dim=1).tolist()
        found += [columns[:few] for columns, few in zip(best.indices.cpu().numpy().astype(np.int32), kept, strict=True)]
    return Ragged.of(found)


def _with_mixed(targets: Targets, first: Ids, second: Ids) -> Targets:
    """Add a column for each pair of parents; a query for which either is no negative ignores it."""
    related = exclusions(targets, "document", "query")
    pairs = [related.pairs(parents) for parents in (first, second)]
    rows = np.concatenate([targets.known.row_of_value(), *(queries for _, queries in pairs)])
    columns = np.concatenate([targets.known.values, *(targets.documents + position for position, _ in pairs)])
    lowest = min(0, int(targets.document_texts.min(initial=0)))
    return replace(
        targets,
        known=Ragged.from_pairs(rows.astype(np.int32), columns.astype(np.int32), len(targets)),
        document_texts=np.concatenate([targets.document_texts, lowest - 1 - np.arange(len(first))]),  # no text's own
        document_groups=np.concatenate([targets.document_groups, np.full(len(first), NO_GROUP)]),
    )
