"""Records: one query with what answers it, out of a row of any table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearfar.core.errors import excerpt
from nearfar.core.unicode import encodable
from nearfar.data.bad_row import BadRow
from nearfar.data.columns import Layout
from nearfar.data.intake import Intake, Row


@dataclass(frozen=True, slots=True)
class Record:
    """A query, its positive and negative documents, and what is known of the pair."""

    query: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...] = ()
    score: float | None = None  # of the query with its positives
    group: str = ""  # the entity that query and positives are about
    source: str = ""
    task: str = ""


def records_of(rows: Iterable[Row], where: str | Path, intake: Intake) -> Iterator[Record]:
    """Make a record of each row; those that cannot be used are refused."""
    for line, values in rows:
        try:
            yield _record(values, intake.columns.layout(tuple(values)))
        except BadRow as bad:
            intake.refuse(where, line, bad)


def checked_text(value: Any, name: str) -> str:
    """`value`, when it is a text that says something.

    Raises:
        BadRow: it is of another type, empty, or cannot be written as UTF-8.
    """
    if not isinstance(value, str):
        raise BadRow(expected=f"text in '{name}'", found=_shown(value), do="make it a string, or skip bad rows")
    if not value or value.isspace():
        raise BadRow(expected=f"text in '{name}'", found="an empty one", do="fill it in, or skip bad rows")
    if "\0" in value or not encodable(value):
        raise BadRow(
            expected=f"text in '{name}'", found="a NUL or half a surrogate pair", do="remove it, or skip bad rows"
        )
    return value


def checked_number(value: Any, name: str) -> float:
    """`value` as a finite number.

    Raises:
        BadRow: it is none.
    """
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise BadRow(expected=f"a number in '{name}'", found=_shown(value), do="correct it, or skip bad rows")
    return number


def checked_label(values: Mapping[str, Any], name: str) -> str:
    """The label in the column `name`, "" where there is none.

    Raises:
        BadRow: it is neither a string nor an integer.
    """
    value = values.get(name)
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRow(expected=f"a name in '{name}'", found=_shown(value), do="make it a string, or skip bad rows")
    return str(value)


def _record(values: Mapping[str, Any], layout: Layout) -> Record:
    return Record(
        query=checked_text(values[layout.query], layout.query),
        positives=_required(values, layout.positives),
        negatives=_optional(values, layout.negatives),
        score=checked_number(values[layout.score], layout.score) if layout.score else None,
        group=checked_label(values, layout.group),
        source=checked_label(values, layout.source),
        task=checked_label(values, layout.task),
    )


def _required(values: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    # of positive, positive_1, positive_2 … all but one may be empty
    texts = _optional(values, names) if len(names) > 1 else _texts(values[names[0]], names[0])
    if not texts:
        raise BadRow(expected=f"text in '{names[0]}'", found="none", do="fill it in, or skip bad rows")
    return texts


def _optional(values: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(text for name in names if values[name] not in (None, "") for text in _texts(values[name], name))


def _texts(value: Any, name: str) -> tuple[str, ...]:
    if isinstance(value, (list, tuple)):
        return tuple(checked_text(item, name) for item in value)
    return (checked_text(value, name),)


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    return excerpt(value) if isinstance(value, str) else f"{type(value).__name__} {excerpt(str(value))}"
