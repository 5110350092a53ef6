"""Records into a data set: equal texts get one number, pairs are gathered by split."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nearfar.core.errors import BadInput
from nearfar.data.dataset import Dataset, Pairs, Texts
from nearfar.data.records import Record

POSITIVE, NEGATIVE, SCORED = range(3)


class Collector:
    """Takes records one by one; holds each different text once, so memory follows the texts and not the pairs."""

    def __init__(self) -> None:
        self._queries, self._documents = _Numbering(), _Numbering()
        self._splits: dict[str, _Columns] = {}

    def add(self, split: str, records: Iterable[Record]) -> None:
        """Append the pairs of `records` to `split`."""
        columns = self._splits.setdefault(split, _Columns())
        for record in records:
            query = self._queries.number(record.query, record.group)
            kind, score = (POSITIVE, 1.0) if record.score is None else (SCORED, record.score)
            for text in record.positives:
                columns.append(query, self._documents.number(text, record.group), score, kind)
            for text in record.negatives:
                columns.append(query, self._documents.number(text, ""), 0.0, NEGATIVE)

    def dataset(self, name: str, positive_above: float | None) -> Dataset:
        """Everything added so far.

        Raises:
            BadInput: no pair is positive.
        """
        tables = {split: columns.arrays() for split, columns in self._splits.items()}
        highest = max((table.highest for table in tables.values()), default=-np.inf)
        threshold = highest / 2 if positive_above is None else positive_above
        splits = {split: table.pairs(threshold) for split, table in tables.items()}
        if not any(len(pairs.relevant) for pairs in splits.values()):
            raise BadInput.at(
                name, expected="a positive pair", found="none", do="check the scores, or set 'positive_above'"
            )
        notices = (*self._merged(), *_said(splits, threshold, chosen=positive_above is None, scored=highest > -np.inf))
        return Dataset(name, self._queries.texts("q"), self._documents.texts("d"), splits, notices)

    def _merged(self) -> list[str]:
        named = (("queries", self._queries), ("documents", self._documents))
        return [
            f"{numbering.seen:,} {kind} given are {len(numbering):,} different texts: equal ones merged"
            for kind, numbering in named
            if numbering.seen > len(numbering)
        ]


class _Numbering:
    """Rows of texts in order of first appearance."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._groups: list[str] = []
        self.seen = 0

    def __len__(self) -> int:
        return len(self._rows)

    def number(self, text: str, group: str) -> int:
        self.seen += 1
        row = self._rows.setdefault(text, len(self._rows))
        if row == len(self._groups):
            self._groups.append(group)
        elif group and not self._groups[row]:
            self._groups[row] = group
        return row

    def texts(self, letter: str) -> Texts:
        groups = self._groups if any(self._groups) else ()
        return Texts([f"{letter}{row}" for row in range(1, len(self) + 1)], list(self._rows), groups)


class _Columns:
    """The pairs of one split as growing columns: 17 bytes a pair, where tuples would take 150."""

    def __init__(self) -> None:
        self.queries, self.documents, self.scores, self.kinds = array("i"), array("i"), array("d"), array("b")

    def append(self, query: int, document: int, score: float, kind: int) -> None:
        self.queries.append(query)
        self.documents.append(document)
        self.scores.append(score)
        self.kinds.append(kind)

    def arrays(self) -> _Table:
        return _Table(
            Pairs(
                np.array(self.queries, np.int32), np.array(self.documents, np.int32), np.array(self.scores, np.float32)
            ),
            np.array(self.kinds, np.int8),
        )


class _Table:
    def __init__(self, raw: Pairs, kinds: NDArray[np.int8]) -> None:
        self._raw, self._scored = raw, kinds == SCORED

    @property
    def highest(self) -> float:
        return float(self._raw.scores[self._scored].max(initial=-np.inf))

    def pairs(self, threshold: float) -> Pairs:
        """Scores above the threshold stay (and are > 0), the others become their distance below it (≤ 0)."""
        if not self._scored.any():
            return self._raw
        scores = self._raw.scores
        judged = np.where(scores > threshold, scores - min(threshold, 0.0), scores - threshold)
        return replace(self._raw, scores=np.where(self._scored, judged, scores).astype(np.float32))


def _said(splits: dict[str, Pairs], threshold: float, *, chosen: bool, scored: bool) -> list[str]:
    if not scored:
        return []
    positive = sum(len(pairs.relevant) for pairs in splits.values())
    total = sum(map(len, splits.values()))
    how = " (half of the highest score; 'positive_above' sets another)" if chosen else ""
    return [f"scored pairs above {threshold:g} are positive{how}: {positive:,} of {total:,}"]
