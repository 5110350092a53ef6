"""The kinds of columns that a filter can ask about, and how a value of each is written in Lance's SQL."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from nearfar.core.errors import BadInput
from nearfar.index.filter_syntax import Token

VECTOR = "vector"
INTERNAL = "_"  # how the names of columns begin that are no metadata
DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
CLOCK = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
MOMENT = rf"{DATE}([T ]{CLOCK}(Z|[+-][0-9]{{2}}:[0-9]{{2}})?)?"
UNITS = {"s": ("Second", 1), "ms": ("Millisecond", 10**3), "us": ("Microsecond", 10**6), "ns": ("Nanosecond", 10**9)}
INT64 = np.iinfo(np.int64)


@dataclass(frozen=True)
class Column:
    """A column by its name in a filter and by its quoted one; `kind` is None where filters cannot read the type."""

    name: str
    sql: str
    type: pa.DataType

    @property
    def kind(self) -> Kind | None:
        if not isinstance(self.type, (pa.ListType, pa.LargeListType)):
            return next((kind for holds, kind in KINDS if holds(self.type)), None)
        element = replace(self, type=self.type.value_type)
        inner = element.kind
        if inner is None or inner is REAL or isinstance(element.type, (pa.ListType, pa.LargeListType)):
            return None  # Lance tells 0.0 from -0.0 in a list
        return Kind(f"lists of {inner.name}", LISTED, lambda token, _: inner.literal(token, element))


@dataclass(frozen=True)
class Kind:
    """What a column holds, what may be asked of it beside `is missing`, and how a value is written."""

    name: str
    operators: tuple[str, ...]
    literal: Callable[[Token, Column], str]


def columns(schema: pa.Schema) -> dict[str, Column]:
    """The columns of metadata by name, the fields of structs with dots between; no vector and no internal ones."""
    fields = [field for field in schema if not field.name.startswith(INTERNAL) and field.name != VECTOR]
    return {column.name: column for field in fields for column in _unfolded(field, "", "")}


def _unfolded(field: pa.Field[pa.DataType], name: str, sql: str) -> Iterator[Column]:
    if not field.name or set(field.name) & {"`", "\0"}:
        return  # Lance has no way to ask for it
    name, sql = name + field.name, f"{sql}`{field.name}`"
    yield Column(name, sql, field.type)
    for inner in field.type.fields if isinstance(field.type, pa.StructType) else ():
        yield from _unfolded(inner, f"{name}.", f"{sql}.")


def quoted(text: str) -> str:
    """A text as a literal of Lance's SQL, which has no escape but the quote written twice."""
    return "'" + text.replace("'", "''") + "'"


def _wrong(token: Token, column: Column, expected: str, do: str) -> BadInput:
    return token.wrong(f"{expected} for the field '{column.name}'", do)


def _text(token: Token, column: Column) -> str:
    if token.kind != "text":
        raise _wrong(token, column, "a text", "put it in quotes")
    return quoted(token.value)


def _boolean(token: Token, column: Column) -> str:
    if token.plain not in {"true", "false"}:
        raise _wrong(token, column, "true or false", "write one of them, without quotes")
    return token.plain


def _whole(token: Token, column: Column) -> str:
    if token.kind != "number" or not token.value.lstrip("+-").isdecimal():
        raise _wrong(token, column, "a whole number", "write it in digits, without quotes and without a point")
    limits: Any = np.iinfo(_numpy(column))
    value = Decimal(token.value)  # int would refuse 5,000 digits
    if not limits.min <= value <= limits.max:
        raise _wrong(token, column, f"a number from {limits.min} to {limits.max}", "write one of those")
    whole = int(value)
    return f"arrow_cast('{whole}', 'Int64')" if whole == INT64.min else str(whole)  # it reads -N as what N negates to


def _real(token: Token, column: Column) -> str:
    if token.kind != "number":
        raise _wrong(token, column, "a number", "write it without quotes")
    with np.errstate(over="ignore"):
        value = float(_numpy(column)(float(token.value)))  # rounded as the column's values are
    if np.isinf(value):
        raise _wrong(token, column, f"a number that {column.type} can hold", "write a smaller one")
    return repr(value)


def _numpy(column: Column) -> Any:
    return column.type.to_pandas_dtype()


def _date(token: Token, column: Column) -> str:
    day = _moment(token, column, DATE, 'a date such as "2024-03-31"')
    return f"arrow_cast({quoted(day.date().isoformat())}, 'Date{column.type.bit_width}')"


def _time(token: Token, column: Column) -> str:
    moment = _moment(token, column, MOMENT, 'a date or time such as "2024-03-31" or "2024-03-31T18:30:00"')
    type_: Any = column.type
    if moment.tzinfo is not None and type_.tz is None:
        raise _wrong(token, column, "a time without an offset", "leave it away: the column has no time zone")
    unit, per_second = UNITS[type_.unit]
    since = moment.replace(tzinfo=moment.tzinfo or UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    count, rest = divmod(since // timedelta(microseconds=1) * per_second, 10**6)
    if rest or not INT64.min < count <= INT64.max:
        raise _wrong(token, column, f"a time that {type_} can hold", "write fewer decimals, or a year nearer to ours")
    zone = f'Some("{type_.tz}")' if type_.tz else "None"
    return f"arrow_cast({count}, {quoted(f'Timestamp({unit}, {zone})')})"


def _moment(token: Token, column: Column, form: str, expected: str) -> datetime:
    try:
        if token.kind == "text" and re.fullmatch(form, token.value):
            return datetime.fromisoformat(token.value)
    except ValueError:  # a 30th of February
        pass
    raise _wrong(token, column, expected, "write year, month and day of a date that exists, in quotes")


def _is_text(type_: pa.DataType) -> bool:
    of = type_.value_type if isinstance(type_, pa.DictionaryType) else type_
    return pa.types.is_string(of) or pa.types.is_large_string(of)


LISTED = ("has", "has any", "has all")
ORDERED = ("=", "!=", "<", "<=", ">", ">=", "in")
TEXT = Kind("text", (*ORDERED, "contains", "starts with"), _text)
REAL = Kind("numbers", ORDERED, _real)
KINDS: tuple[tuple[Callable[[pa.DataType], bool], Kind], ...] = (
    (_is_text, TEXT),
    (pa.types.is_boolean, Kind("true or false", ("=", "!=", "in"), _boolean)),
    (pa.types.is_integer, Kind("whole numbers", ORDERED, _whole)),
    (pa.types.is_floating, REAL),
    (pa.types.is_date, Kind("dates", ORDERED, _date)),
    (pa.types.is_timestamp, Kind("times", ORDERED, _time)),
)
