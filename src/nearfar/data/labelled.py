"""Texts with a label each, for the probes of classification and clustering."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearfar.core.errors import BadInput, excerpt
from nearfar.data.bad_row import BadRow
from nearfar.data.beir import is_beir, read_beir
from nearfar.data.columns import LABELLED
from nearfar.data.config import DataConfig
from nearfar.data.dataset import Dataset
from nearfar.data.intake import Intake, Row
from nearfar.data.read import given, readable, rows_of, tables
from nearfar.data.records import checked_label, checked_text

Pair = tuple[str, str]


@dataclass(frozen=True)
class Labelled:
    """Texts and the label of each, of one split."""

    texts: Sequence[str]  # (n)
    labels: Sequence[str]  # (n)

    def __len__(self) -> int:
        return len(self.texts)

    def rows(self, kept: Sequence[int]) -> Labelled:
        """Those in these rows."""
        return Labelled([self.texts[row] for row in kept], [self.labels[row] for row in kept])


@dataclass(frozen=True)
class LabelledSet:
    """Labelled texts by split; `notices` say which rows were skipped."""

    name: str
    splits: Mapping[str, Labelled]
    notices: tuple[str, ...] = ()


def read_labelled(
    source: str | Path | Iterable[Pair | Mapping[str, Any]], config: DataConfig | None = None
) -> LabelledSet:
    """Read labelled texts: a table with text and label, a folder of tables, a hub name, (text, label) pairs, or a BEIR
    folder, where the one relevant document of a query is its label.

    A label is a text or a whole number. A single file, and pairs, are the split "train".

    Raises:
        BadInput: the source cannot be read, or a row of it lacks text or label and is not to be skipped.
        MissingExtra: it is a hub name and the package `datasets` is not installed.
    """
    config = config or DataConfig()
    if not isinstance(source, (str, Path)):
        intake = Intake(config, "labelled")
        found = given(_labelled(rows_of(source, LABELLED), "records", intake), "records", intake)
        return LabelledSet("records", {"train": _columns(found)}, intake.notices())
    with readable(str(source)):
        path = Path(source).expanduser()
        if path.is_dir() and is_beir(path):
            return _of_dataset(read_beir(path, intake := Intake(config)), intake)
        intake = Intake(config, "labelled")
        name, splits = tables(str(source), intake, _labelled)
        return LabelledSet(name, {split: _columns(rows) for split, rows in splits.items()}, intake.notices())


def _labelled(rows: Iterable[Row], where: str | Path, intake: Intake) -> Iterator[Pair]:
    for line, values in rows:
        try:
            layout = intake.columns.layout(tuple(values))
            label = checked_label(values, layout.label)
            if not label.strip():
                raise BadRow(expected=f"a label in '{layout.label}'", found="none", do="fill it in, or skip bad rows")
            yield checked_text(values[layout.text], layout.text), label
        except BadRow as bad:
            intake.refuse(where, line, bad)


def _columns(rows: Iterable[Pair]) -> Labelled:
    texts, labels = ([*column] for column in zip(*rows, strict=True))
    return Labelled(texts, labels)


def _of_dataset(dataset: Dataset, intake: Intake) -> LabelledSet:
    splits = {split: _of_split(dataset, split) for split, pairs in dataset.splits.items() if len(pairs.relevant)}
    return LabelledSet(dataset.name, splits, (*dataset.notices, *intake.notices()))


def _of_split(dataset: Dataset, split: str) -> Labelled:
    judged = dataset.judged(split)
    several = (judged.documents.lengths > 1).nonzero()[0]
    if len(several):
        text = excerpt(dataset.queries.texts[judged.queries[several[0]]])
        raise BadInput.at(f"{dataset.name} {split}", expected="one relevant document a query, its label",
                          found=f"{judged.documents.lengths[several[0]]} of {text}",
                          do="measure it as retrieval, or keep one")  # fmt: skip
    texts = [dataset.queries.texts[row] for row in judged.queries]
    return Labelled(texts, [dataset.documents.ids[row] for row in judged.documents.values])
