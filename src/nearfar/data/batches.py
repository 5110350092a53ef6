"""Batches of unique texts with explicit targets, drawn from a data set in time linear in its size."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from nearfar.core.errors import BadInput
from nearfar.core.near_duplicates import by_tokens, tokens
from nearfar.core.ragged import Ragged
from nearfar.core.targets import NO_GROUP, Floats, Judgements, Need, Targets, TeacherVectors
from nearfar.data.dataset import Dataset, Pairs

Ids = NDArray[np.int64]
BatchLabel = Literal["source", "task"]
BATCH_LABELS: tuple[BatchLabel, ...] = ("source", "task")


class Teachers(Protocol):
    def __call__(self, queries: Ids, documents: Ids, seed: tuple[int, ...]) -> Judgements:
        """Teachers' scores of a batch with these different texts, (Q,) and (D,), both sorted."""
        ...


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
    scores: NDArray[np.float32]  # (n,) the highest relevance stated
    labels: Mapping[BatchLabel, tuple[tuple[str, ...], Ids]]  # names, and the number (n,) of each pair's own
    relevant: Ragged  # (texts) relevant documents in the training split
    known: Ragged  # (texts) relevant documents in any split
    negatives: Ragged  # (texts) judged negatives in the training split
    groups: Ids  # (texts,) entity of each text, NO_GROUP where there is none
    notices: tuple[str, ...] = ()
    told: frozenset[Need] = frozenset()  # what the targets of a batch say beyond what answers what
    grades: Judgements | None = None  # (texts) judged documents by their texts
    teachers: Teachers | None = None
    teacher_vectors: tuple[Floats, Floats] | None = None  # (texts, t) of texts as queries, and as documents
    near: Ids | None = None  # (n,) of each pair the cluster that its document is in

    def __len__(self) -> int:
        return len(self.queries)

    def only(self, pairs: Ids) -> BatchSource:
        """These training pairs alone; what is known of all texts stays, so that no answer becomes a negative."""
        labels = {name: (names, of_pair[pairs]) for name, (names, of_pair) in self.labels.items()}
        return replace(self, queries=self.queries[pairs], documents=self.documents[pairs], scores=self.scores[pairs],
                       labels=labels, near=None if self.near is None else self.near[pairs])  # fmt: skip

    def batch(
        self, pairs: Ids, hard_negatives: int, seed: tuple[int, ...], weights: NDArray[np.float64] | None = None
    ) -> TextBatch:
        """Build the batch of these pairs, with up to `hard_negatives` judged negatives drawn for each query.

        A query weighs as much as its pairs do on average; `weights` are theirs, (len(pairs),).
        """
        queries, row = np.unique(self.queries[pairs], return_inverse=True)
        drawn = self._draw_negatives(queries, hard_negatives, seed)
        documents = np.unique(np.concatenate([self.documents[pairs], drawn]))
        targets = Targets(
            positives=_columns(self.relevant, queries, documents),
            known=_columns(self.known, queries, documents),
            query_texts=queries,
            document_texts=documents,
            query_groups=self.groups[queries],
            document_groups=self.groups[documents],
            weights=None if weights is None else np.bincount(row, weights) / np.bincount(row),
            negatives=_columns(self.negatives, queries, documents) if "negatives" in self.told else None,
            grades=_judged(self.grades, queries, documents),
            teachers=None if self.teachers is None else self.teachers(queries, documents, seed),
            teacher_vectors=self._teacher_vectors(queries, documents),
            task=self._task(pairs),
        )
        return TextBatch(queries, documents, targets)

    def tasks(self) -> list[str]:
        """The task of each text as a query, (texts), "" where it has none; nothing when no query has one."""
        names, number = self.labels["task"]
        if names == ("",):
            return []
        of_text = np.full(len(self.texts), len(names))
        of_text[self.queries] = number
        return [(*names, "")[task] for task in of_text]

    def extended(self, targets: Targets, texts: Ids) -> Targets:
        """`targets` with further documents of these texts, which may repeat; what is relevant in them is ignored."""
        relevant = self.known.take(targets.query_texts)
        different, number = np.unique(texts, return_inverse=True)
        columns_of = Ragged.from_pairs(number.astype(np.int32), np.arange(len(texts), dtype=np.int32), len(different))
        place, present = places(different, relevant.values)
        found = columns_of.take(place[present])
        asked = np.repeat(relevant.row_of_value()[present], found.lengths)
        rows = np.concatenate([targets.known.row_of_value(), asked])
        columns = np.concatenate([targets.known.values, targets.documents + found.values])
        return replace(
            targets,
            known=Ragged.from_pairs(rows.astype(np.int32), columns.astype(np.int32), len(targets)),
            document_texts=np.concatenate([targets.document_texts, texts]),
            document_groups=np.concatenate([targets.document_groups, self.groups[texts]]),
        )

    def _task(self, pairs: Ids) -> str:
        names, labels = self.labels["task"]
        return names[labels[pairs[0]]] if len(pairs) and (labels[pairs] == labels[pairs[0]]).all() else ""

    def _teacher_vectors(self, queries: Ids, documents: Ids) -> TeacherVectors | None:
        if self.teacher_vectors is None:
            return None
        asked, answering = self.teacher_vectors
        return TeacherVectors(asked[queries], answering[documents])

    def _draw_negatives(self, queries: Ids, count: int, seed: tuple[int, ...]) -> Ids:
        generator = np.random.default_rng(seed)
        offsets = self.negatives.offsets
        having = queries[offsets[queries + 1] > offsets[queries]] if count else queries[:0]
        drawn = [generator.permutation(self.negatives[int(query)])[:count] for query in having]
        return np.concatenate(drawn).astype(np.int64) if drawn else np.empty(0, np.int64)


def batch_source(dataset: Dataset, told: Collection[Need] = (), *, mask_near_duplicates: bool = False) -> BatchSource:
    """Number the texts of `dataset` and index its pairs by them.

    Where grades are to be told, the pairs that are judged irrelevant are training pairs too. With
    `mask_near_duplicates`, a text that says nearly the same as a document that answers a query answers it as well: it
    is no negative of that query.

    Raises:
        BadInput: there is nothing to tell apart: fewer than two different documents in the training pairs.
    """
    number: dict[str, int] = {}
    query_text = _number(dataset.queries.texts, number)
    document_text = _number(dataset.documents.texts, number)
    train = dataset.splits["train"]
    edges = partial(_edges, query_text, document_text, len(number))
    relevant, known = edges(train.relevant), edges(Pairs.joined(dataset.splits.values()).relevant)
    different = len(np.unique(relevant.documents))
    if different < 2:
        raise BadInput.at(dataset.name, expected="training pairs with at least two different documents",
                          found=f"{different}", do="give more pairs")  # fmt: skip
    groups = _groups(dataset, query_text, document_text, len(number))
    stated, notices = edges(train.where(train.scores <= 0)), []
    if mask_near_duplicates:
        near = _near(known, np.union1d(relevant.documents, stated.documents), tuple(number))
        notices.append(f"train: {len(near.keys):,} answers of queries are near-duplicates of stated ones")
        known = _Edges(np.union1d(known.keys, near.keys), known.count)
    negatives, dropped = _without_answers(stated, known, groups)
    chosen = train if "grades" in told else train.relevant
    pairs = edges(chosen)
    return BatchSource(
        texts=tuple(number),
        queries=pairs.queries,
        documents=pairs.documents,
        scores=_scores(chosen, pairs, query_text, document_text),
        labels={name: _labels(dataset.queries.labels[name], query_text, pairs.queries) for name in BATCH_LABELS},
        relevant=relevant.by_query,
        known=known.by_query,
        negatives=negatives.by_query,
        groups=groups,
        notices=(*notices, *dropped),
        told=frozenset(told),
        grades=_grades(dataset, edges, query_text, document_text) if "grades" in told else None,
    )


def _number(texts: Sequence[str], number: dict[str, int]) -> Ids:
    return np.array([number.setdefault(text, len(number)) for text in texts], np.int64)


@dataclass(frozen=True)
class _Edges:
    """Different pairs of texts, sorted, as query · count + document."""

    keys: Ids  # (n,)
    count: int  # texts

    @property
    def queries(self) -> Ids:
        return self.keys // self.count

    @property
    def documents(self) -> Ids:
        return self.keys % self.count

    @property
    def by_query(self) -> Ragged:
        return Ragged.from_pairs(self.queries.astype(np.int32), self.documents.astype(np.int32), self.count)


def _edges(query_text: Ids, document_text: Ids, count: int, pairs: Pairs) -> _Edges:
    return _Edges(np.unique(query_text[pairs.queries] * count + document_text[pairs.documents]), count)


def _near(known: _Edges, documents: Ids, texts: Sequence[str]) -> _Edges:
    """Each query with those of `documents`, sorted, that are nearly one of its answers."""
    place, present = places(documents, known.documents)
    asked, place = known.queries[present], place[present]
    rows, row = np.unique(place, return_inverse=True)
    alike = by_tokens([tokens(texts[text]) for text in documents], rows).take(row)
    return _Edges(np.unique(asked[alike.row_of_value()] * known.count + documents[alike.values]), known.count)


def _scores(pairs: Pairs, edges: _Edges, query_text: Ids, document_text: Ids) -> NDArray[np.float32]:
    scores = np.full(len(edges.keys), -np.inf, np.float32)
    keys = query_text[pairs.queries] * edges.count + document_text[pairs.documents]
    np.maximum.at(scores, np.searchsorted(edges.keys, keys), pairs.scores)
    return scores


def _without_answers(negatives: _Edges, known: _Edges, groups: Ids) -> tuple[_Edges, tuple[str, ...]]:
    """Drop the negatives that answer their query after all: by text, in any split, or by group."""
    query, document = negatives.queries, negatives.documents
    equal = np.isin(negatives.keys, known.keys) | (query == document)
    related = ~equal & (groups[query] == groups[document]) & (groups[query] != NO_GROUP)
    counts = (
        (equal, "negatives dropped: their text is that of a positive of the query, or its own"),
        (related, "negatives dropped: they are of the query's group"),
    )
    notices = tuple(f"train: {found.sum():,} {what}" for found, what in counts if found.any())
    return _Edges(negatives.keys[~(equal | related)], negatives.count), notices


def _labels(column: Sequence[str], query_text: Ids, queries: Ids) -> tuple[tuple[str, ...], Ids]:
    """Names of the labels that pairs with these query texts have, and the number of each pair's own."""
    number: dict[str, int] = {}
    of_text = np.zeros(int(query_text.max(initial=0)) + 1, np.int64)
    numbers = _number(column or [""] * len(query_text), number)
    of_text[query_text[::-1]] = numbers[::-1]  # of equal texts the first
    used, of_pair = np.unique(of_text[queries], return_inverse=True)
    names = tuple(number)
    return tuple(names[i] for i in used), of_pair.astype(np.int64)


def _groups(dataset: Dataset, query_text: Ids, document_text: Ids, count: int) -> Ids:
    number: dict[str, int] = {}
    groups = np.full(count, NO_GROUP)
    for texts, rows in ((dataset.queries, query_text), (dataset.documents, document_text)):
        for row, name in zip(rows, texts.groups, strict=False):
            if name and groups[row] == NO_GROUP:
                groups[row] = number.setdefault(name, len(number))
    return groups


def _grades(dataset: Dataset, edges: Callable[[Pairs], _Edges], query_text: Ids, document_text: Ids) -> Judgements:
    """The highest grade of each pair of texts; without grades, the judgements are all that is known."""
    train = dataset.splits["train"]
    pairs = replace(train, scores=np.maximum(train.scores, 0)) if dataset.grades is None else dataset.grades
    found = edges(pairs)
    return Judgements(found.by_query, _scores(pairs, found, query_text, document_text))


def _judged(stated: Judgements | None, queries: Ids, documents: Ids) -> Judgements | None:
    """The numbers of `queries`, by columns of the sorted `documents`, leaving out what is not among them."""
    if stated is None:
        return None
    rows = stated.take(queries)
    column, present = places(documents, rows.documents.values)
    row = rows.documents.row_of_value()[present].astype(np.int32)
    return Judgements(Ragged.from_pairs(row, column[present].astype(np.int32), len(queries)), rows.values[present])


def _columns(relevant: Ragged, queries: Ids, documents: Ids) -> Ragged:
    """Rows of `relevant` for `queries`, as columns of the sorted `documents`, leaving out what is not among them."""
    rows = relevant.take(queries)
    column, present = places(documents, rows.values)
    row = rows.row_of_value()[present].astype(np.int32)
    return Ragged.from_pairs(row, column[present].astype(np.int32), len(queries))


def places(ordered: Ids, values: NDArray[np.integer[Any]]) -> tuple[Ids, NDArray[np.bool_]]:
    """Where in `ordered` each value is, and whether it is there at all."""
    place = np.minimum(np.searchsorted(ordered, values), max(len(ordered) - 1, 0))
    return place, ordered[place] == values if len(ordered) else np.zeros(len(values), np.bool_)
