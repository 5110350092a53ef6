"""Pairs of texts with a score each, as they are given: nothing merged, no pair of equal texts dropped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfar.data.bad_row import BadRow
from nearfar.data.beir import is_beir, read_beir
from nearfar.data.columns import KNOWN
from nearfar.data.config import DataConfig
from nearfar.data.dataset import Dataset, Pairs
from nearfar.data.intake import Intake, Row
from nearfar.data.read import given, readable, rows_of, tables
from nearfar.data.records import records_of

Triple = tuple[str, str, float]


@dataclass(frozen=True)
class Graded:
    """Pairs of texts with scores, of one split."""

    first: Sequence[str]  # (n)
    second: Sequence[str]  # (n)
    scores: NDArray[np.float64]  # (n,)

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class GradedSet:
    """Graded pairs by split; `notices` say which rows were skipped."""

    name: str
    splits: Mapping[str, Graded]
    notices: tuple[str, ...] = ()


def read_graded(
    source: str | Path | Iterable[Triple | Mapping[str, Any]], config: DataConfig | None = None
) -> GradedSet:
    """Read pairs with scores: a table, a folder of tables, a BEIR folder, a hub name, or (text, text, score) triples.

    The columns are those of pairs (query and positive, or sentence1 and sentence2) with a score. A single file, and
    triples, are the split "train".

    Raises:
        BadInput: the source cannot be read, or a row of it has no score or no two texts and is not to be skipped.
        MissingExtra: it is a hub name and the package `datasets` is not installed.
    """
    config = config or DataConfig()
    intake = Intake(config)
    if not isinstance(source, (str, Path)):
        found = given(_graded(rows_of(source, ("query", "positive", "score")), "records", intake), "records", intake)
        return GradedSet("records", {"train": _columns(found)}, intake.notices())
    with readable(str(source)):
        path = Path(source).expanduser()
        if path.is_dir() and is_beir(path):
            return _of_dataset(read_beir(path, intake), intake)
        name, splits = tables(str(source), intake, _graded)
        return GradedSet(name, {split: _columns(rows) for split, rows in splits.items()}, intake.notices())


def _graded(rows: Iterable[Row], where: str | Path, intake: Intake) -> Iterator[Triple]:
    for row in rows:
        for record in records_of([row], where, intake):
            if record.score is None:
                shown = ", ".join(repr(name[:40]) for name in row.values)
                names = "/".join(KNOWN["score"])
                intake.refuse(where, row.line, BadRow(expected=f"a score column ({names})", found=f"columns {shown}",
                                                      do="map it with 'columns: {score: NAME}'"))  # fmt: skip
            else:
                yield from ((record.query, text, record.score) for text in record.positives)


def _columns(rows: Iterable[Triple]) -> Graded:
    first, second, scores = ([*column] for column in zip(*rows, strict=True))
    return Graded(first, second, np.array(scores, np.float64))


def _of_dataset(dataset: Dataset, intake: Intake) -> GradedSet:
    """The judged pairs of a BEIR set; its grades, where it has a file of them, are their scores."""
    known = _by_pair(dataset.grades) if dataset.grades is not None else None
    found = {split: list(_texts(dataset, pairs, known)) for split, pairs in dataset.splits.items()}
    splits = {split: _columns(triples) for split, triples in found.items() if triples}
    return GradedSet(dataset.name, splits, (*dataset.notices, *intake.notices()))


def _by_pair(pairs: Pairs) -> dict[tuple[int, int], float]:
    return {(query, document): score for query, document, score in _rows(pairs)}


def _rows(pairs: Pairs) -> Iterator[tuple[int, int, float]]:
    return zip(pairs.queries.tolist(), pairs.documents.tolist(), pairs.scores.tolist(), strict=True)


def _texts(dataset: Dataset, pairs: Pairs, known: Mapping[tuple[int, int], float] | None) -> Iterator[Triple]:
    for query, document, score in _rows(pairs):
        if known is None or (query, document) in known:
            grade = score if known is None else known[query, document]
            yield dataset.queries.texts[query], dataset.documents.texts[document], grade
