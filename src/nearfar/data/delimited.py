"""Comma- and tab-separated tables with a header line."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from nearfar.core.errors import excerpt
from nearfar.data.bad_row import BadRow
from nearfar.data.intake import Intake, Row
from nearfar.data.lines import LINE_BYTES, lines

Cells = Iterator[tuple[int, list[str]]]


def read_csv(path: Path, intake: Intake) -> Iterator[Row]:
    """Yield the rows of a comma-separated table; quoted cells may run over several lines."""
    return _rows(_csv_cells(path, intake), path, intake)


def read_tsv(path: Path, intake: Intake) -> Iterator[Row]:
    """Yield the rows of a tab-separated table; quotes mean themselves, as in most published sets."""
    return _rows(tsv_cells(path, intake), path, intake)


def tsv_cells(path: Path, intake: Intake) -> Cells:
    """Yield (line, cells) of each line that is not blank."""
    for number, line in lines(path, intake):
        if line:
            yield number, line.split("\t")


def refuse_ragged(cells: Sequence[str], header: Sequence[str]) -> None:
    """Raise BadRow when a row has not as many cells as the header."""
    if len(cells) != len(header):
        raise BadRow(
            expected=f"{len(header)} cells as in the header",
            found=f"{len(cells)}",
            do="check its separators and quotes, or skip bad rows",
        )


def _rows(table: Cells, path: Path, intake: Intake) -> Iterator[Row]:
    header: list[str] = []
    for number, cells in table:
        if not header:
            header = _header(cells, number, path, intake)
            continue
        try:
            refuse_ragged(cells, header)
            yield Row(number, dict(zip(header, cells, strict=True)))
        except BadRow as bad:
            intake.refuse(path, number, bad)


def _header(cells: list[str], line: int, path: Path, intake: Intake) -> list[str]:
    names = [cell.strip() for cell in cells]
    try:
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise BadRow(expected="each column once", found=f"{excerpt(twice)} twice", do="rename one of them")
        intake.columns.layout(names)
    except BadRow as bad:  # a wrong header is no matter of single rows: never skipped
        raise bad.at(path, line) from None
    return names


class _Counted:
    """Hands out lines and remembers the number of the last one, which csv's own count loses when lines are refused."""

    def __init__(self, numbered: Iterator[tuple[int, str]]) -> None:
        self._numbered = numbered
        self.line = 0

    def __iter__(self) -> Iterator[str]:
        for line, text in self._numbered:
            self.line = line
            yield text + "\n"


def _csv_cells(path: Path, intake: Intake) -> Cells:
    source = _Counted(lines(path, intake))
    limit = csv.field_size_limit(LINE_BYTES)  # csv refuses cells over 128 kB by default
    try:
        yield from _parsed(source, path, intake)
    finally:
        csv.field_size_limit(limit)


def _parsed(source: _Counted, path: Path, intake: Intake) -> Cells:
    reader = csv.reader(source, strict=True)
    while True:
        first = source.line + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            bad = BadRow(expected="a CSV row", found=f"a broken one ({error})", do="check its quotes")
            intake.refuse(path, first, bad)
            continue
        if cells:
            yield first, cells
