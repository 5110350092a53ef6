"""Documents to be indexed, with what else is known of each, read as a stream."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from nearfar.core.errors import BadInput, excerpt
from nearfar.data.bad_row import BadRow
from nearfar.data.beir import CORPUS
from nearfar.data.config import DataConfig
from nearfar.data.intake import Intake, Row
from nearfar.data.jsonl import object_of, read_jsonl
from nearfar.data.lines import decoded, raw_lines
from nearfar.data.records import checked_text

STDIN, NAMED = "-", "standard input"
TABLES = (".csv", ".tsv", ".parquet")
JSON = (".jsonl", ".json", ".jsonl.gz", ".json.gz")
IDS = ("_id", "id")
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
        raise BadInput.at(source, expected="documents", found="none", do="write one object on each line")


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
    from pyarrow import csv, parquet  # noqa: PLC0415

    def batches() -> Iterable[Any]:
        if path.suffix.lower() == ".parquet":
            return parquet.ParquetFile(path).iter_batches()
        options = csv.ParseOptions(delimiter="\t" if path.suffix.lower() == ".tsv" else ",", newlines_in_values=True)
        names = {name: pa.string() for name in (*IDS, "text", "title")}
        return csv.open_csv(path, parse_options=options, convert_options=csv.ConvertOptions(column_types=names))

    number = 1 if path.suffix.lower() == ".parquet" else 2  # a row, or a line below the header
    try:
        for batch in batches():
            for values in batch.to_pylist():
                yield Row(number, values)
                number += 1
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BadInput.at(path, expected="a table", found=str(error).splitlines()[0],
                          do="write it again or check the suffix") from None  # fmt: skip


def _standard_input() -> Iterator[Row]:
    for number, raw in raw_lines(sys.stdin.buffer, Path(NAMED)):
        try:
            line = decoded(raw, number)
            if line.strip():
                yield Row(number, object_of(line))
        except BadRow as bad:
            raise bad.at(NAMED, number) from None


def _document(values: Mapping[str, Any], where: str) -> Document:
    name = next((name for name in IDS if values.get(name) is not None), None)
    identity = values.get(name) if name else None
    if isinstance(identity, bool) or not isinstance(identity, str | int) or identity == "":
        raise BadRow(expected="an '_id'", found="none" if identity is None else excerpt(str(identity)),
                     do='write {"_id": …, "text": …}')  # fmt: skip
    text = values.get("text")
    inner = values.get("metadata")
    if inner is not None and not isinstance(inner, Mapping):
        raise BadRow(expected="an object in 'metadata'", found=excerpt(str(inner)), do="write names and values")
    rest = {key: value for key, value in values.items() if key not in {*IDS, "text", "metadata"}} | dict(inner or {})
    metadata = {key: _value(key, value) for key, value in rest.items() if (key, value) != ("title", "")}
    found = Document(str(identity), None if text is None else str(text), where, metadata)
    if found.whole:
        checked_text(found.whole, "text")
    return found


def _value(key: str, value: Any) -> Value:
    if key in RESERVED:
        raise BadRow(expected="a name of your own for metadata", found=f"'{key}'", do="rename it")
    if isinstance(value, list) and all(isinstance(item, str | int | float | bool) for item in value):
        return value
    if isinstance(value, Mapping | list):
        raise BadRow(expected=f"a value or a list of values in '{key}'", found=excerpt(str(value)), do="flatten it")
    return value  # type: ignore[no-any-return]
