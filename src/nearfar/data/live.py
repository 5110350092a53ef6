"""A log of live queries: what users asked, and which documents they then clicked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearfar.core.errors import BadInput
from nearfar.core.folding import folded
from nearfar.core.ragged import Ragged
from nearfar.data.bad_row import BadRow
from nearfar.data.config import DataConfig
from nearfar.data.dataset import Texts
from nearfar.data.intake import Intake
from nearfar.data.jsonl import read_jsonl
from nearfar.data.records import checked_text


@dataclass(frozen=True)
class LiveLog:
    """Different queries of a log, each with the documents clicked after it."""

    queries: Sequence[str]
    clicked: Ragged  # (Q) rows of document rows, ascending
    notices: tuple[str, ...] = ()


def read_live(path: Path, documents: Texts, config: DataConfig | None = None) -> LiveLog:
    """Read lines of {"query": text, "clicked": id or text of a document, or a list of them}.

    Queries that differ in case and white space alone are one; a document that was clicked after any of them counts.

    Raises:
        BadInput: there is no such file, it has no usable line, or a line cannot be used and is not to be skipped.
    """
    intake = Intake(config or DataConfig())
    rows = dict(zip(documents.texts, range(len(documents)), strict=True))
    rows |= dict(zip(documents.ids, range(len(documents)), strict=True))
    asked: dict[str, str] = {}
    clicked: dict[str, set[int]] = {}
    for query, found in _entries(path, intake, rows):
        asked.setdefault(folded(query), query)
        clicked.setdefault(folded(query), set()).update(found)
    if not asked:
        raise intake.first or BadInput.at(path, expected='lines of {"query": …, "clicked": …}', found="none",
                                          do="check that it was written whole")  # fmt: skip
    return LiveLog(list(asked.values()), Ragged.of([sorted(found) for found in clicked.values()]), intake.notices())


def _entries(path: Path, intake: Intake, rows: Mapping[str, int]) -> Iterator[tuple[str, list[int]]]:
    for line, values in read_jsonl(path, intake):
        try:
            yield _query(values), [_row(value, rows) for value in _clicks(values)]
        except BadRow as bad:
            intake.refuse(path, line, bad)


def _query(values: Mapping[str, Any]) -> str:
    return checked_text(_field(values, "query"), "query")


def _clicks(values: Mapping[str, Any]) -> list[Any]:
    value = _field(values, "clicked")
    clicks = value if isinstance(value, list) else [value]
    if not clicks:
        raise BadRow(expected="a document in 'clicked'", found="none", do="leave out queries without a click")
    return clicks


def _field(values: Mapping[str, Any], name: str) -> Any:
    if name not in values:
        raise BadRow(expected=f"a field '{name}'", found=", ".join(values) or "none",
                     do='write one {"query": …, "clicked": …} on each line')  # fmt: skip
    return values[name]


def _row(value: Any, rows: Mapping[str, int]) -> int:
    name = checked_text(str(value) if isinstance(value, int) and not isinstance(value, bool) else value, "clicked")
    if name not in rows:
        raise BadRow(expected="the id of a document", found=f"'{name[:60]}', which is not in the data",
                     do="give the log of the same documents, or skip bad rows")  # fmt: skip
    return rows[name]
