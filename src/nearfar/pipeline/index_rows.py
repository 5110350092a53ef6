"""Documents of a source as rows of an index's table: ids, texts, metadata, vectors."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nearfar.core.artifact import MANIFEST, read_meta
from nearfar.core.errors import BadInput
from nearfar.data.documents import STDIN, Document, read_documents
from nearfar.index.building import batch_of
from nearfar.index.config import IndexConfig
from nearfar.index.filters import compiled
from nearfar.index.generation import KIND, open_index
from nearfar.index.location import Storage
from nearfar.index.table import DOCUMENT, ID, TEXT, TOKENS, VECTOR, WEIGHTS, Table, passage_fields
from nearfar.index.writer import Writer
from nearfar.pipeline.document_rows import Rows
from nearfar.pipeline.encoded import Encoded
from nearfar.pipeline.place import Place

BLOCK = 8192  # documents encoded at a time


def documents_of(source: str, storage: Storage | None = None) -> Iterator[Document]:
    """Documents of a source, or of another run or index, each id once.

    Args:
        storage: what opens object storage, if the table of that index is there.

    Raises:
        BadInput: as of `read_documents` and `open_index`, or an id comes twice.
    """
    index = _index_of(source)
    return once(_stored(index, storage) if index else read_documents(source))


def once(documents: Iterable[Document]) -> Iterator[Document]:
    """The same documents, of which each must come once.

    Raises:
        BadInput: an id comes twice.
    """
    seen: set[str] = set()
    for document in documents:
        if document.id in seen:
            raise BadInput.at(document.where, expected="each id once", found=f"'{document.id}' again",
                              do="remove one of them")  # fmt: skip
        seen.add(document.id)
        yield document


def cut_into(source: str) -> int:
    """Tokens of the passages that the documents of a source are cut into already; 0 where they are whole."""
    index = _index_of(source)
    return IndexConfig.parse(read_meta(index, KIND).get("config", {}), source).passages if index else 0


def _index_of(source: str) -> Path | None:
    place = Place.of(source) if source != STDIN and Path(source).is_dir() else None
    return place.index if place is not None and (place.index / MANIFEST).exists() else None


def _stored(index: Path, storage: Storage | None) -> Iterator[Document]:
    table: Table = open_index(index, storage).table
    own = [one.name for one in passage_fields()] if table.has_passages else []
    for start in range(0, len(table), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(table)))
        for values in table.take(rows, [ID, TEXT, *own, *table.columns]).to_pylist():
            key, text = values.pop(ID), values.pop(TEXT)
            passage = {name: values.pop(name) for name in own}
            metadata = {name: value for name, value in values.items() if value is not None}
            yield Document(key, text, f"{index}: document '{key}'", metadata, passage, titled=True)


def blocks(documents: Iterable[Document], most: int = 0) -> Iterator[list[Document]]:
    """The documents, so many at a time."""
    rest = iter(documents)
    while block := list(islice(rest, most or BLOCK)):
        yield block


def joined(tables: list[pa.Table]) -> pa.Table:
    """Rows of several blocks of one `Rows`, in one table."""
    widest = tables[-1].schema  # a later one has the columns of all before
    return pa.concat_tables([batch_of({name: table[name] for name in table.schema.names}, widest) for table in tables])


def put(writer: Writer, rows: pa.Table, ids: Sequence[str]) -> int:
    """Put documents into an index; how many of these ids were there."""
    if not writer.has_passages:
        return writer.put(rows).replaced
    replaced = writer.delete(ids)  # a document may have had more passages than it has now
    writer.put(rows)
    return replaced


def fulfilling(table: Table, condition: str) -> list[str]:
    """Ids of the documents that a filter lets through, of those in passages by any of them.

    Raises:
        BadInput: the filter cannot be read.
    """
    column = DOCUMENT if table.has_passages else ID
    rows = table.rows_where(compiled(condition, table.dataset.schema))
    return list(dict.fromkeys(map(str, table.take(rows, [column])[column].to_pylist())))


def put_changed(writer: Writer, rows: Rows, block: list[Document]) -> int:
    """Change documents of an index by what is given of each; how many.

    Raises:
        BadInput: an id is not in the index, or a value does not fit its column, or a title is to change without its
            text in an index of passages.
    """
    return (_put_passages if writer.has_passages else _put_whole)(writer, rows, block)


def _put_whole(writer: Writer, rows: Rows, block: list[Document]) -> int:
    table = writer.table
    places = table.rows_of([one.id for one in block])
    _check_there(block, {one.id for one, place in zip(block, places, strict=True) if place >= 0})
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
    encoded = _encoded(table, places)
    if again:
        encoded = encoded.replaced(again, rows.model.encode([changed[number].whole for number in again]))
    return writer.put(rows.of(changed, encoded)).replaced


def _put_passages(writer: Writer, rows: Rows, block: list[Document]) -> int:
    """A given text is cut and encoded again; with metadata alone, the passages and their vectors stay as they are."""
    table, given = writer.table, {one.id: one for one in block}
    places = np.array([row for row, key in enumerate(table.values(DOCUMENT)) if key in given], np.int64)
    fields = [one.name for one in passage_fields()]
    before = table.take(places, [ID, TEXT, *fields, *table.columns]).to_pylist()
    _check_there(block, {row[DOCUMENT] for row in before})
    again: dict[str, Document] = {}
    kept: list[Document] = []
    stay = np.zeros(len(places), np.bool_)
    for number, row in enumerate(before):
        new = given[row[DOCUMENT]]
        metadata = {name: row[name] for name in table.columns} | dict(new.metadata)
        if new.text is not None:
            again[new.id] = replace(new, metadata=metadata)
            continue
        _check_title(new, row)
        passage = {name: row[name] for name in fields}
        kept.append(replace(new, id=row[ID], text=row[TEXT], metadata=metadata, passage=passage, titled=True))
        stay[number] = True
    if kept:
        writer.put(rows.of(kept, _encoded(table, places[stay])))
    if again:
        put(writer, rows.of(list(again.values())), list(again))
    return len(given)


def _encoded(table: Table, places: NDArray[np.int64]) -> Encoded:
    """What the models made of the texts in these rows."""
    return Encoded.stored(table.take(places, [VECTOR, *([TOKENS, WEIGHTS] if table.has_token_weights else [])]))


def _check_there(block: Sequence[Document], there: Collection[str]) -> None:
    if missing := next((one for one in block if one.id not in there), None):
        raise BadInput.at(missing.where, expected="a document of the index", found=f"'{missing.id}'",
                          do="add it instead")  # fmt: skip


def _check_title(new: Document, row: Mapping[str, Any]) -> None:
    """Passages are not the whole text, from which those with another title would be cut."""
    if (new.metadata.get("title", row.get("title")) or "") != (row.get("title") or ""):
        raise BadInput.at(new.where, expected="a text with the new title, for an index of passages", found="none",
                          do="give both")  # fmt: skip
