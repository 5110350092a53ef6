"""Metadata as columns: what type each has, and values turned into it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from nearfar.core.errors import BadInput

DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:?\d{2})?")
TIMESTAMP = pa.timestamp("us", tz="UTC")
SHOWN = 60  # characters of a value in an error

Row = Mapping[str, Any]
Field = Any  # pyarrow's stubs want a type of each


def fields_of(rows: Sequence[Row], ids: Sequence[str]) -> list[Field]:
    """A column for each name that has a value in the rows, of the narrowest type that holds all its values.

    Whole numbers, numbers, true and false, dates (2021-03-01), moments (2021-03-01T12:00Z, kept in UTC), texts, and
    lists of one of them.

    Raises:
        BadInput: the values of a name have no type in common; the first document that does not fit is named.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    types = {name: _common([row.get(name) for row in rows], name, ids) for name in names}
    return [pa.field(name, type_) for name, type_ in types.items() if type_ is not None]


def column(rows: Sequence[Row], field: Field, ids: Sequence[str]) -> Any:
    """Values of one name as a column of its type, missing where a row lacks it.

    Raises:
        BadInput: a value does not fit; its document is named.
    """
    values = [_converted(row.get(field.name), field, key) for row, key in zip(rows, ids, strict=True)]
    return pa.array(values, field.type)


def _common(values: Sequence[Any], name: str, ids: Sequence[str]) -> Any:
    found = None
    for value, key in zip(values, ids, strict=True):
        if value is None or value == []:
            continue
        type_ = _type_of(value)
        wider = type_ if found is None else _wider(found, type_)
        if wider is None:
            raise _unfit(key, f"{_said(found)} in '{name}', as in the documents before", value)
        found = wider
    return found


def _type_of(value: Any) -> Any:
    if isinstance(value, list):
        first, *rest = map(_type_of, value)
        for other in rest:
            first = _wider(first, other) or pa.string()
        return pa.list_(first)
    for python, type_ in ((bool, pa.bool_()), (int, pa.int64()), (float, pa.float64()), (datetime, TIMESTAMP),
                          (date, pa.date32())):  # fmt: skip
        if isinstance(value, python):
            return type_
    return pa.date32() if DAY.fullmatch(value) else TIMESTAMP if MOMENT.fullmatch(value) else pa.string()


def _wider(one: Any, other: Any) -> Any:
    """The type that holds both; None where there is none."""
    if one == other:
        return one
    kinds = {one, other}
    if kinds == {pa.int64(), pa.float64()}:
        return pa.float64()
    if kinds == {pa.date32(), TIMESTAMP}:
        return TIMESTAMP
    if pa.string() in kinds and kinds & {pa.date32(), TIMESTAMP}:
        return pa.string()
    if pa.types.is_list(one) and pa.types.is_list(other) and (inner := _wider(one.value_type, other.value_type)):
        return pa.list_(inner)
    return None


def _converted(value: Any, field: Field, key: str) -> Any:
    if value is None:
        return None
    type_ = field.type
    try:
        if pa.types.is_list(type_):
            return [_one(item, type_.value_type) for item in (value if isinstance(value, list) else [value])]
        return _one(value, type_)
    except (TypeError, ValueError, OverflowError):
        raise _unfit(key, f"{_said(type_)} in '{field.name}'", value) from None


def _one(value: Any, type_: Any) -> Any:
    for is_it, convert, _ in CONVERSIONS:
        if is_it(type_):
            return convert(value)
    raise TypeError


def _exactly(python: type | tuple[type, ...]) -> Callable[[Any], Any]:
    def checked(value: Any) -> Any:
        if not isinstance(value, python) or (isinstance(value, bool) and python is not bool):
            raise TypeError
        return value

    return checked


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else str(_exactly(str)(value))


def _day(value: Any) -> date:
    if isinstance(value, datetime):
        raise TypeError
    return value if isinstance(value, date) else date.fromisoformat(value)


def _moment(value: Any) -> datetime:
    moment = value if isinstance(value, date) else datetime.fromisoformat(value)
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _whole(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    number: int = _exactly(int)(value)
    if not -(2**63) <= number < 2**63:
        raise OverflowError
    return number


CONVERSIONS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Any], str], ...] = (
    (pa.types.is_boolean, _exactly(bool), "true or false"),
    (pa.types.is_integer, _whole, "a whole number of 64 bits"),
    (pa.types.is_floating, lambda value: float(_exactly((int, float))(value)), "a number"),
    (pa.types.is_date, _day, "a date that exists, such as 2021-03-31"),
    (pa.types.is_timestamp, _moment, "a time that exists, such as 2021-03-31T18:30Z"),
    (pa.types.is_string, _text, "text"),
)


def _said(type_: Any) -> str:
    if pa.types.is_list(type_):
        return f"a list, each of it {_said(type_.value_type)},"
    return next((name for is_it, _, name in CONVERSIONS if is_it(type_)), str(type_))


def _unfit(key: str, expected: str, value: Any) -> BadInput:
    found = json.dumps(value, ensure_ascii=False, default=str)
    shown = found if len(found) <= SHOWN else f"{found[:SHOWN]}…"
    return BadInput.at(f"document '{key}'", expected=expected, found=shown, do="mend the value or rename it")
