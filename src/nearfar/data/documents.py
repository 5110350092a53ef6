"""Documents to be indexed, with what else is known of each, read as a stream."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from nearfar.core.errors import BadInput, excerpt
from nearfar.core.unicode import encodable
from nearfar.data.bad_row import BadRow
from nearfar.data.beir import CORPUS
from nearfar.data.config import DataConfig
from nearfar.data.intake import Intake, Row
from nearfar.data.jsonl import object_of, read_jsonl
from nearfar.data.lines import decoded, raw_lines

STDIN, NAMED = "-", "standard input"
TABLES = (".csv", ".tsv", ".parquet")
JSON = (".jsonl", ".json", ".jsonl.gz", ".json.gz")
IDS = ("_id", "id")
MOST_ID = 1000  # characters
RESERVED = frozenset({"_id", "id", "text", "vector", "metadata", "document", "start", "end", "heading"})
Value = str | int | float | bool | date | list[Any] | None


@dataclass(frozen=True)
class Document:
    """A document as it was given."""

    id: str
    text: str | None  # None: it was left out, which an update of metadata may
    where: str  # file:line
    metadata: Mapping[str, Value] = field(default_factory=dict)  # the title is one
    passage: Mapping[str, Any] | None = None  # which part of which document it is, where it is one
    titled: bool = False  # whether the text begins with the title already

    @property
    def whole(self) -> str:
        """Title, a space, text."""
        title = "" if self.titled else str(self.metadata.get("title") or "")
        return f"{title} {self.text}" if title and self.text else title or self.text or ""


def read_documents(source: str) -> Iterator[Document]:
    """Documents of a BEIR folder, JSON lines, a CSV, TSV or Parquet table, or JSON lines on standard input (-).

    Each has an `_id` or `id` and a `text`, and may have a `title`; every other key is metadata, and so are the keys of
    an object `metadata`.

    Raises:
        BadInput: the source cannot be read, or a document lacks an id or is none; its line is named.
    """
    found = False
    for where, values in _rows(source):
        found = True
        try:
            yield _document(values, where)
        except BadRow as bad:
            raise bad.at(where, None) from None
    if not found:
        raise BadInput.at(source, expected="documents", found="none", do="write some")


def as_documents(rows: Iterable[Mapping[str, Any]], where: str) -> Iterator[Document]:
    """The same of objects that are in memory; the number of one that is none is named, from 1.

    Raises:
        BadInput: one is none.
    """
    for number, values in enumerate(rows, 1):
        try:
            yield _document(values, f"{where}:{number}")
        except BadRow as bad:
            raise bad.at(f"{where}:{number}", None) from None


def _rows(source: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if source == STDIN:
        rows, source = _standard_input(), NAMED
    else:
        path = Path(source).expanduser()
        if path.is_dir():
            path = next((path / name for name in (CORPUS, f"{CORPUS}.gz") if (path / name).exists()), path / CORPUS)
        if not path.exists():
            raise BadInput.at(path, expected="documents", found="nothing there", do="check the path")
        rows = _file(path)
        source = str(path)
    return ((f"{source}:{row.line}", row.values) for row in rows)


def _file(path: Path) -> Iterator[Row]:
    if path.name.lower().endswith(JSON):
        return read_jsonl(path, Intake(DataConfig()))
    if path.suffix.lower() in TABLES:
        return _table(path)
    raise BadInput.at(path, expected=" ".join((*JSON, *TABLES)), found=f"'{path.suffix}'",
                      do="convert or rename the file")  # fmt: skip


def _table(path: Path) -> Iterator[Row]:
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import parquet  # noqa: PLC0415

    is_parquet = path.suffix.lower() == ".parquet"
    number, missing = (1, None) if is_parquet else (2, "")  # a row, or a line below the header; an empty cell
    try:
        for batch in parquet.ParquetFile(path).iter_batches() if is_parquet else _csv_blocks(path):
            _check_once(path, batch.schema.names)
            for values in batch.to_pylist():
                yield Row(number, {name: _present(value, missing) for name, value in values.items()})
                number += 1
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BadInput.at(path, expected="a table", found=str(error).splitlines()[0],
                          do="write it again or check the suffix") from None  # fmt: skip


def _csv_blocks(path: Path) -> Iterable[Any]:
    """Rows, some at a time; a column is of the type that all its cells have in common."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import csv  # noqa: PLC0415

    parse = csv.ParseOptions(delimiter="\t" if path.suffix.lower() == ".tsv" else ",", newlines_in_values=True)
    read = csv.ReadOptions(use_threads=False)  # threads lose the number of a damaged row
    types = dict.fromkeys((*IDS, "text", "title"), pa.string())
    names = csv.open_csv(path, read_options=read, parse_options=parse).schema.names
    _check_once(path, names)
    if rest := [name for name in names if name not in types]:  # a stream goes by its first block alone
        convert = csv.ConvertOptions(include_columns=rest)
        whole = csv.read_csv(path, read_options=read, parse_options=parse, convert_options=convert)
        types |= {one.name: one.type for one in whole.schema}
    return csv.open_csv(path, read_options=read, parse_options=parse,
                        convert_options=csv.ConvertOptions(column_types=types))  # fmt: skip


def _check_once(path: Path, names: Sequence[str]) -> None:
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BadInput.at(path, expected="each column once", found=f"'{twice}' twice", do="rename one")


def _present(value: Any, missing: str | None) -> Any:
    is_nan = isinstance(value, float) and math.isnan(value)  # what pandas makes of a missing number
    return None if is_nan or value == missing else value


def _standard_input() -> Iterator[Row]:
    if sys.stdin is None or sys.stdin.closed:
        raise BadInput.at(NAMED, expected="documents", found="it closed", do="pipe some in")
    for number, raw in raw_lines(sys.stdin.buffer, Path(NAMED)):
        try:
            line = decoded(raw, number)
            if line.strip():
                yield Row(number, object_of(line))
        except BadRow as bad:
            raise bad.at(NAMED, number) from None


def _document(values: Mapping[str, Any], where: str) -> Document:
    inner = values.get("metadata")
    if inner is not None and not isinstance(inner, Mapping):
        raise BadRow(expected="an object in 'metadata'", found=excerpt(str(inner)), do="write names and values")
    rest = {key: value for key, value in values.items() if key not in {*IDS, "text", "metadata"}} | dict(inner or {})
    metadata = {_name(key): _value(key, value) for key, value in rest.items()
                if (key, value) != ("title", "")}  # fmt: skip
    found = Document(_id(values), _text(values, "text"), where, metadata)
    _text(metadata, "title")
    if found.text is not None and not found.whole.strip():
        raise BadRow(expected="text in 'text'", found="an empty one", do="fill it in, or remove the document")
    return found


def _id(values: Mapping[str, Any]) -> str:
    identity = next((values[name] for name in IDS if values.get(name) is not None), None)
    if isinstance(identity, bool) or not isinstance(identity, str | int) or identity == "":
        raise BadRow(expected="an '_id'", found="none" if identity is None else excerpt(str(identity)),
                     do='write {"_id": …, "text": …}')  # fmt: skip
    found = _writable(str(identity), "_id")
    if len(found) > MOST_ID:
        raise BadRow(expected=f"an '_id' of at most {MOST_ID:,} characters", found=f"one of {len(found):,}",
                     do="shorten it")  # fmt: skip
    return found


def _text(values: Mapping[str, Any], name: str) -> str | None:
    value = values.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise BadRow(expected=f"text in '{name}'", found=excerpt(str(value)), do="make it a string")
    return _writable(value, name)


def _name(key: str) -> str:
    if key in RESERVED:
        raise BadRow(expected="a name of your own for metadata", found=f"'{key}'", do="rename it")
    # Lance refuses a dot, cannot read a grave accent, ends at a NUL; what begins with _ is its own
    if not key or key.startswith("_") or set(key) & {".", "`", "\0"} or not encodable(key):
        raise BadRow(expected="a name for metadata that is not empty, has no '.' or '`' and begins with no '_'",
                     found=excerpt(key), do="rename it")  # fmt: skip
    return key


def _value(name: str, value: Any) -> Value:
    for item in value if isinstance(value, list) else () if value is None else (value,):
        if isinstance(item, str):
            _writable(item, name)
        elif isinstance(item, float) and not math.isfinite(item):
            raise BadRow(expected=f"a finite number in '{name}'", found=str(item), do="write null, or leave it out")
        elif not isinstance(item, int | float | date):
            raise BadRow(expected=f"a text, a number, true, false, a date, or a list of them in '{name}'",
                         found=excerpt(str(value)), do="flatten it, or leave it out")  # fmt: skip
    return value  # type: ignore[no-any-return]


def _writable(text: str, name: str) -> str:
    if "\0" in text or not encodable(text):
        raise BadRow(expected=f"text in '{name}'", found="a NUL or half a surrogate pair", do="remove it")
    return text
