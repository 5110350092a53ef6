"""Documents of a source as rows of an index's table: ids, texts, metadata, vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nearfar.core.errors import BadInput
from nearfar.data.documents import STDIN, Document, read_documents
from nearfar.index.building import batch_of
from nearfar.index.columns import column, fields_of
from nearfar.index.generation import open_index
from nearfar.index.table import ID, TEXT, VECTOR, Table, column_of, numbers, schema_of
from nearfar.index.writer import Writer
from nearfar.pipeline.place import Place

BLOCK = 8192  # documents encoded at a time

Vectors = NDArray[np.float32]
Encode = Callable[[Sequence[str]], Vectors]


@dataclass
class Rows:
    """Documents as rows of an index's table."""

    encode: Encode
    fields: dict[str, Any] = field(default_factory=dict)  # columns of metadata so far, by name

    @classmethod
    def like(cls, schema: pa.Schema | None, encode: Encode) -> Rows:
        """Rows of a table that is there."""
        own = {ID, TEXT, VECTOR}
        return cls(encode, {one.name: one for one in schema or () if one.name not in own})

    def of(self, documents: Sequence[Document], vectors: Vectors | None = None) -> pa.Table:
        """Ids, texts, metadata, and vectors (n, d): those given, or those of the texts."""
        ids, texts = [one.id for one in documents], [one.whole for one in documents]
        for one in documents:
            if not one.whole:
                raise BadInput.at(one.where, expected="a text", found="none", do="write one, or leave it out")
        values = [one.metadata for one in documents]
        fresh = [{name: value for name, value in row.items() if name not in self.fields} for row in values]
        self.fields |= {one.name: one for one in fields_of(fresh, ids)}
        vectors = self.encode(texts) if vectors is None else vectors
        columns = {ID: pa.array(ids, pa.string()), TEXT: pa.array(texts, pa.string()), VECTOR: column_of(vectors),
                   **{name: column(values, one, ids) for name, one in self.fields.items()}}  # fmt: skip
        return batch_of(columns, schema_of(vectors.shape[1], self.fields.values()))

    def first_other(self, documents: Sequence[Document], kept: pa.Table) -> int | None:
        """Place of the first document that is not as it was kept, or is lacking; None where all are."""
        again = self.of(documents, numbers(kept[VECTOR])[: len(documents)])
        new, old = (table.drop_columns([VECTOR]).to_pylist() for table in (again, kept))
        pairs = enumerate(zip_longest(map(_filled, new), map(_filled, old)))
        return next((place for place, (one, other) in pairs if one != other), None)


def _filled(row: Mapping[str, Any]) -> dict[str, Any]:
    """Without what a column that came later leaves out: missing values, and lists of nothing, which have no type."""
    return {name: value for name, value in row.items() if value not in (None, [])}


def documents_of(source: str) -> Iterator[Document]:
    """Documents of a source, or of another run or index, each id once.

    Raises:
        BadInput: as of `read_documents` and `open_index`, or an id comes twice.
    """
    place = Place.of(source) if source != STDIN and Path(source).is_dir() else None
    stored = place is not None and (place.index / "manifest.json").exists()
    seen: set[str] = set()
    for document in _stored(place.index) if place and stored else read_documents(source):
        if document.id in seen:
            raise BadInput.at(document.where, expected="each id once", found=f"'{document.id}' again",
                              do="remove one of them")  # fmt: skip
        seen.add(document.id)
        yield document


def _stored(index: Path) -> Iterator[Document]:
    table: Table = open_index(index).table
    for start in range(0, len(table), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(table)))
        for values in table.take(rows, [ID, TEXT, *table.columns]).to_pylist():
            key, text = values.pop(ID), values.pop(TEXT)
            metadata = {name: value for name, value in values.items() if value is not None}
            yield Document(key, text, f"{index}: document '{key}'", metadata, titled=True)


def blocks(documents: Iterable[Document]) -> Iterator[list[Document]]:
    rest = iter(documents)
    while block := list(islice(rest, BLOCK)):
        yield block


def joined(tables: list[pa.Table]) -> pa.Table:
    """Rows of several blocks of one `Rows`, in one table."""
    widest = tables[-1].schema  # a later one has the columns of all before
    return pa.concat_tables([batch_of({name: table[name] for name in table.schema.names}, widest) for table in tables])


def put_changed(writer: Writer, rows: Rows, block: list[Document]) -> int:
    """Change documents of an index by what is given of each; how many.

    Raises:
        BadInput: an id is not in the index, or a value does not fit its column.
    """
    table = writer.table
    places = table.rows_of([one.id for one in block])
    if len(missing := np.flatnonzero(places < 0)):
        one = block[missing[0]]
        raise BadInput.at(one.where, expected="a document of the index", found=f"'{one.id}'", do="add it instead")
    before = table.take(places, [TEXT, *table.columns])
    changed, again = [], []
    for number, (new, old) in enumerate(zip(block, before.to_pylist(), strict=True)):
        metadata = {name: value for name, value in old.items() if name != TEXT} | dict(new.metadata)
        title = str(old.get("title") or "")
        bare = old[TEXT].removeprefix(title).removeprefix(" ") if title else old[TEXT]
        text = replace(new, text=bare if new.text is None else new.text, metadata=metadata).whole
        changed.append(replace(new, text=text, metadata=metadata, titled=True))
        if text != old[TEXT]:
            again.append(number)
    vectors = table.vectors(places).copy()
    if again:
        vectors[again] = rows.encode([changed[number].whole for number in again])
    return writer.put(rows.of(changed, vectors)).replaced
