"""Which pairs of a batch must not count as negatives, looked up for a few anchors at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nearfar.core.ragged import Ragged
from nearfar.core.targets import NO_GROUP, Targets

Side = Literal["query", "document"]
Ids = NDArray[np.int64]
Labelled = tuple[Ids, Ids]  # items, and one label of each


@dataclass(frozen=True)
class Exclusions:
    """An anchor and a candidate are excluded when they share a label; time and memory follow the excluded pairs."""

    labels: Ragged  # (anchors) rows of labels
    members: Ragged  # (labels) rows of candidates

    def pairs(self, anchors: Ids) -> tuple[Ids, NDArray[np.int32]]:
        """Positions in `anchors` and the candidates excluded for them; a pair may be named more than once."""
        labels = self.labels.take(anchors)
        members = self.members.take(labels.values)
        return np.repeat(labels.row_of_value(), members.lengths), members.values


def exclusions(targets: Targets, anchor: Side, candidate: Side) -> Exclusions:
    """What is excluded when anchors of one side are scored against candidates of the same or the other side.

    A pair shares a label when both have the same text or the same group, when the document is relevant to the query
    (a positive or known), and, within a side, when both queries have a relevant document in common, or both documents
    a query. So a text is never a negative of itself.
    """
    texts, groups = _shared(targets.query_texts, targets.document_texts), _groups(targets)
    between: Side = "document" if anchor == candidate == "query" else "query"
    anchors, of_anchors = _together([texts[anchor], groups[anchor], _relevance(targets, anchor, between)])
    candidates, of_candidates = _together(
        [texts[candidate], groups[candidate], _relevance(targets, candidate, between)]
    )
    count = len(targets) if anchor == "query" else targets.documents
    last = max(of_anchors.max(initial=-1), of_candidates.max(initial=-1))
    return Exclusions(_ragged(anchors, of_anchors, count), _ragged(of_candidates, candidates, int(last) + 1))


def _together(kinds: list[Labelled]) -> Labelled:
    """Labels of several kinds as one, numbered by turns."""
    labels = [len(kinds) * labels + kind for kind, (_, labels) in enumerate(kinds)]
    return np.concatenate([items for items, _ in kinds]), np.concatenate(labels)


def _ragged(rows: Ids, values: Ids, count: int) -> Ragged:
    return Ragged.from_pairs(rows.astype(np.int32), values.astype(np.int32), count)


def _shared(queries: Ids, documents: Ids) -> dict[Side, Labelled]:
    """Number the identities of both sides from 0."""
    _, numbers = np.unique(np.concatenate([queries, documents]), return_inverse=True)
    return {
        "query": (np.arange(len(queries)), numbers[: len(queries)]),
        "document": (np.arange(len(documents)), numbers[len(queries) :]),
    }


def _groups(targets: Targets) -> dict[Side, Labelled]:
    query, document = (np.flatnonzero(groups != NO_GROUP) for groups in (targets.query_groups, targets.document_groups))
    shared = _shared(targets.query_groups[query], targets.document_groups[document])
    return {"query": (query, shared["query"][1]), "document": (document, shared["document"][1])}


def _relevance(targets: Targets, side: Side, between: Side) -> Labelled:
    """The texts of side `between` that each text of `side` is relevant to; itself where both sides are one."""
    if side == between:
        own = np.arange(len(targets) if side == "query" else targets.documents)
        return own, own
    parts = (targets.positives, targets.known)
    queries = np.concatenate([part.row_of_value() for part in parts])
    documents = np.concatenate([part.values for part in parts]).astype(np.int64)
    return (documents, queries) if side == "document" else (queries, documents)
