"""Batches of unique texts with explicit targets, drawn from a data set in time linear in its size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearfar.core.errors import BadInput
from nearfar.core.ragged import Ragged
from nearfar.core.targets import NO_GROUP, Targets
from nearfar.data.dataset import Dataset, Pairs

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class TextBatch:
    """Unique queries and documents as rows of `BatchSource.texts`, and what is true of them."""

    queries: Ids  # (Q,)
    documents: Ids  # (D,)
    targets: Targets


@dataclass(frozen=True)
class BatchSource:
    """The training pairs of a data set, with every text numbered once however often it occurs."""

    texts: tuple[str, ...]
    queries: Ids  # (n,) text of each training pair's query
    documents: Ids  # (n,) text of its document
    relevant: Ragged  # (texts) relevant documents in the training split
    known: Ragged  # (texts) relevant documents in any split
    negatives: Ragged  # (texts) judged negatives in the training split
    groups: Ids  # (texts,) entity of each text, NO_GROUP where there is none

    def __len__(self) -> int:
        return len(self.queries)

    def epoch(self, batch_size: int, seed: int, epoch: int) -> list[Ids]:
        """Shuffle the pairs into batches of at most `batch_size` pairs, all of them within one of the same size."""
        order = np.random.default_rng([seed, epoch]).permutation(len(self))
        return np.array_split(order, max(1, -(-len(self) // batch_size)))

    def batch(self, pairs: Ids, hard_negatives: int, seed: tuple[int, ...]) -> TextBatch:
        """Build the batch of these pairs, with up to `hard_negatives` judged negatives drawn for each query."""
        queries = np.unique(self.queries[pairs])
        drawn = self._draw_negatives(queries, hard_negatives, seed)
        documents = np.unique(np.concatenate([self.documents[pairs], drawn]))
        targets = Targets(
            positives=_columns(self.relevant, queries, documents),
            known=_columns(self.known, queries, documents),
            query_texts=queries,
            document_texts=documents,
            query_groups=self.groups[queries],
            document_groups=self.groups[documents],
        )
        return TextBatch(queries, documents, targets)

    def _draw_negatives(self, queries: Ids, count: int, seed: tuple[int, ...]) -> Ids:
        generator = np.random.default_rng(seed)
        candidates = (self.negatives[int(query)] for query in queries) if count else ()
        drawn = [generator.permutation(row)[:count] for row in candidates if len(row)]
        return np.concatenate(drawn).astype(np.int64) if drawn else np.empty(0, np.int64)


def batch_source(dataset: Dataset) -> BatchSource:
    """Number the texts of `dataset` and index its pairs by them.

    Raises:
        BadInput: there is nothing to tell apart: fewer than two different documents in the training pairs.
    """
    number: dict[str, int] = {}
    query_text = _number(dataset.queries.texts, number)
    document_text = _number(dataset.documents.texts, number)
    train = dataset.splits["train"]
    queries, documents = query_text[train.relevant.queries], document_text[train.relevant.documents]
    edges = np.unique(np.stack([queries, documents], axis=1), axis=0)
    if len(np.unique(edges[:, 1])) < 2:
        raise BadInput.at(dataset.name, expected="training pairs with at least two different documents",
                          found=f"{len(np.unique(edges[:, 1]))}", do="give more pairs")  # fmt: skip
    judged = [_by_text(pairs.relevant, query_text, document_text, len(number)) for pairs in dataset.splits.values()]
    negative = train.where(train.scores <= 0)
    return BatchSource(
        texts=tuple(number),
        queries=edges[:, 0],
        documents=edges[:, 1],
        relevant=_by_text(train.relevant, query_text, document_text, len(number)),
        known=_union(judged),
        negatives=_by_text(negative, query_text, document_text, len(number)),
        groups=_groups(dataset, query_text, document_text, len(number)),
    )


def _number(texts: Sequence[str], number: dict[str, int]) -> Ids:
    return np.array([number.setdefault(text, len(number)) for text in texts], np.int64)


def _by_text(pairs: Pairs, query_text: Ids, document_text: Ids, count: int) -> Ragged:
    rows, values = query_text[pairs.queries], document_text[pairs.documents]
    edges = np.unique(np.stack([rows, values], axis=1), axis=0)
    return Ragged.from_pairs(edges[:, 0].astype(np.int32), edges[:, 1].astype(np.int32), count)


def _union(parts: list[Ragged]) -> Ragged:
    rows = np.concatenate([part.row_of_value() for part in parts]).astype(np.int32)
    return Ragged.from_pairs(rows, np.concatenate([part.values for part in parts]), len(parts[0]))


def _groups(dataset: Dataset, query_text: Ids, document_text: Ids, count: int) -> Ids:
    number: dict[str, int] = {}
    groups = np.full(count, NO_GROUP)
    for texts, rows in ((dataset.queries, query_text), (dataset.documents, document_text)):
        for row, name in zip(rows, texts.groups, strict=False):
            if name and groups[row] == NO_GROUP:
                groups[row] = number.setdefault(name, len(number))
    return groups


def _columns(relevant: Ragged, queries: Ids, documents: Ids) -> Ragged:
    """Rows of `relevant` for `queries`, as columns of the sorted `documents`, leaving out what is not among them."""
    rows = [relevant[int(query)] for query in queries]
    values = np.concatenate(rows).astype(np.int64)
    row = np.repeat(np.arange(len(queries)), [len(r) for r in rows])
    column = np.minimum(np.searchsorted(documents, values), len(documents) - 1)
    present = documents[column] == values
    return Ragged.from_pairs(row[present].astype(np.int32), column[present].astype(np.int32), len(queries))
