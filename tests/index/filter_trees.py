"""Random rows and filters: a filter is a tree that is written out as text and, for comparison, evaluated naively.

A tree is ("or" | "and", [trees]), ("not", tree) or (operator, field, values) with the operators of the language.
"""

import math
import operator
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

HOSTILE = ["'", "''", "\\'", "' or '1'='1", "x' or 1=1 --", "'; drop table documents; --", '"', "`", "/* */", "%", "_",
           "\0", "\n", "\\", "\\\\'", "$1", "?", "{}", "U&'\\0027'", "\u02bc", "\uff07", "x') or (id is not null",
           "_rowid", "null", "\u202e", "\U0001f642", "' || id || '", "e'\\x27'", "[1]", "😀" * 99]  # fmt: skip
LETTERS = st.characters(exclude_categories=["Cs", "Cn"])  # letters newer than this Python have no small ones in it
PIECES = ["", "a", "A", "ab", "it's", '"', "100%", "a_b", "x\\y", "\\'", "`", "\n", "--", "ß", "İ", "Σ", "é", "e\u0301"]
TEXTS = (
    st.sampled_from(PIECES) | st.text(LETTERS, max_size=4) | st.lists(st.sampled_from(PIECES), max_size=3).map("".join)
)


def whole(bits, *, signed=True):
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.sampled_from([low, low + 1, 0, 1, high - 1, high]) | st.integers(low, high)


def real(width):
    known = [0.0, -0.0, 0.1, 1.5, -1.5, 1e-5, math.inf, -math.inf, math.nan, -math.nan]
    known = [float(np.dtype(f"f{width // 8}").type(value)) for value in known]
    return st.sampled_from(known) | st.floats(width=width)


def moments(zone, unit):
    near = st.integers(-3, 3).map(lambda n: datetime(2024, 3, 1, tzinfo=zone) + timedelta(hours=12 * n))
    far = st.datetimes(timezones=st.just(zone))
    return (near | far).map(lambda at: at.replace(microsecond=at.microsecond // unit * unit))


DATES = st.sampled_from([date(2024, 2, 29), date(1, 1, 1), date(9999, 12, 31)]) | st.dates()
OFFSETS = st.sampled_from([None, UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=8))])
LISTS = {"tags": TEXTS, "numbers": whole(64)}
SCALARS = {
    "id_": TEXTS,
    "odd name, ü'\";--": TEXTS,
    "small": whole(8),
    "large": whole(64),
    "unsigned": whole(64, signed=False),
    "half": real(16),
    "single": real(32),
    "double": real(64),
    "flag": st.booleans(),
    "day": DATES,
    "naive": moments(None, 1),
    "zoned": moments(UTC, 1000),
    "in": whole(32),
    "meta.inner name": TEXTS,
}
SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "id_": pa.string(),
        "odd name, ü'\";--": pa.large_string(),
        "small": pa.int8(),
        "large": pa.int64(),
        "unsigned": pa.uint64(),
        "half": pa.float16(),
        "single": pa.float32(),
        "double": pa.float64(),
        "flag": pa.bool_(),
        "day": pa.date32(),
        "naive": pa.timestamp("us"),
        "zoned": pa.timestamp("ms", tz="Europe/Berlin"),
        "in": pa.int32(),
        "meta": pa.struct({"inner name": pa.string()}),
        "tags": pa.list_(pa.string()),
        "numbers": pa.list_(pa.int64()),
    }.items()
)
LOSSY = {"half": np.float16, "single": np.float32, "double": np.float64}
LITERALS = SCALARS | {name: st.floats(-60000, 60000) | st.sampled_from([0.1, -0.0, 1, 7]) for name in LOSSY}
ORDER = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


@st.composite
def rows(draw, most=8):
    """Rows by field, some values missing."""
    fields = SCALARS | {name: st.lists(st.none() | value, max_size=3) for name, value in LISTS.items()}
    row = st.fixed_dictionaries({name: st.none() | value for name, value in fields.items()})
    return draw(st.lists(row, min_size=1, max_size=most))


def table(drawn):
    """Rows as Arrow, their number as the id."""
    return pa.Table.from_pylist([_nested(number, row) for number, row in enumerate(drawn)], schema=SCHEMA)


def _nested(number, row):
    inner, half = row["meta.inner name"], row["half"]
    meta = None if inner is None else {"inner name": inner}
    return {**row, "id": str(number), "meta": meta, "half": None if half is None else np.float16(half)}


@st.composite
def conditions(draw, drawn):
    """A condition, often about a value that a row has."""
    name = draw(st.sampled_from([*SCALARS, *LISTS]))
    if draw(st.integers(0, 7)) == 0:
        return draw(st.sampled_from(["is missing", "is present", "is not missing"])), name, []
    held = [row[name] for row in drawn if row[name] is not None]
    if name in LISTS:
        held, other = [value for values in held for value in values if value is not None], LISTS[name]
        words = ["has", "not has", "has any", "has all", "not has any", "not has all"]
    else:
        held, other = [value for value in held if value not in {math.inf, -math.inf} and value == value], LITERALS[name]
        words = ["=", "==", "!=", "in", "not in", *([] if name == "flag" else ORDER), *(PARTIAL * (other is TEXTS))]
    word = draw(st.sampled_from(words))
    value = st.sampled_from(held) | other if held else other
    values = draw(st.lists(value, min_size=1, max_size=4 if several(word) else 1))
    if word in PARTIAL:
        values = [values[0][:2] if "starts" in word else values[0][-2:].swapcase()]
    return word, name, values


PARTIAL = ["contains", "not contains", "starts with", "not starts with"]


def several(word):
    return word.removeprefix("not ") in {"in", "has any", "has all"}


def trees(drawn):
    def joined(part):
        return st.tuples(st.just("not"), part) | st.tuples(
            st.sampled_from(["and", "or"]), st.lists(part, min_size=2, max_size=3)
        )

    return st.recursive(conditions(drawn), joined, max_leaves=6)


def holds(tree, row):
    """Whether a tree holds for a row: two values, nothing else."""
    word = tree[0]
    if word in {"and", "or"}:
        return (all if word == "and" else any)(holds(part, row) for part in tree[1])
    if word == "not":
        return not holds(tree[1], row)
    if word.startswith("not ") or word in {"!=", "is present"}:
        other = {"!=": "=", "is present": "is missing"}.get(word, word.removeprefix("not "))
        return not holds((other, *tree[1:]), row)
    _, name, values = tree
    value = row[name]
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    if word.startswith("is "):
        return missing == (word == "is missing")
    return not missing and _compared(word, value, [LOSSY[name](v).item() if name in LOSSY else v for v in values])


def _compared(word, value, values):
    if word in ORDER:
        return ORDER[word](value, values[0])
    if word in {"=", "==", "in"}:
        return any(value == other for other in values)
    if word in {"has", "has any", "has all"}:
        return (all if word == "has all" else any)(other in value for other in values)
    return values[0].lower() in value.lower() if word == "contains" else value.startswith(values[0])


@st.composite
def written(draw, tree):
    """A tree as text, in one of the ways to write it."""
    word = tree[0]
    said = draw(st.sampled_from([str.lower, str.upper, str.title]))
    if word in {"and", "or"}:
        parts = [(draw(written(part)), part[0] == "or" or draw(st.booleans())) for part in tree[1]]
        return f" {said(word)}\n".join([f"({part})" if inside else part for part, inside in parts])
    if word == "not":
        return f"{said('not')} ({draw(written(tree[1]))})"
    name, values = tree[1], [draw(literal(value)) for value in tree[2]]
    field = f"`{name}`" if not name.isidentifier() or draw(st.booleans()) else name
    end = f"({', '.join(values)})" if several(word) else "".join(values)
    return f"{field} {said(word)} {end}"


@st.composite
def literal(draw, value):
    if isinstance(value, datetime):
        offset = draw(OFFSETS) if value.tzinfo is not None else None
        if offset is not None and 1 < value.year < 9999:
            value = value.astimezone(offset)
        elif value.tzinfo is not None:
            value = value.replace(tzinfo=None)  # without an offset it is UTC
        value = value.isoformat(draw(st.sampled_from(["T", " "])))
    elif isinstance(value, date):
        value = value.isoformat()
    if not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else repr(value)
    quote = draw(st.sampled_from("'\""))
    return quote + value.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote
