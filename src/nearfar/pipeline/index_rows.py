"""Documents of a source as rows of an index's table: ids, texts, metadata, vectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from nearfar.core.errors import BadInput
from nearfar.data.documents import STDIN, Document, read_documents
from nearfar.index.building import batch_of
from nearfar.index.generation import open_index
from nearfar.index.table import ID, TEXT, TOKENS, VECTOR, WEIGHTS, Table, passage_fields
from nearfar.index.writer import Writer
from nearfar.pipeline.document_rows import Rows
from nearfar.pipeline.encoded import Encoded
from nearfar.pipeline.place import Place

BLOCK = 8192  # documents encoded at a time


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


def put_changed(writer: Writer, rows: Rows, block: list[Document]) -> int:
    """Change documents of an index by what is given of each; how many.

    Raises:
        BadInput: an id is not in the index, or a value does not fit its column.
    """
    table = writer.table
    if table.has_passages:
        raise BadInput.at(block[0].where, expected="whole documents, for an index of passages", found="changes",
                          do="give them whole: nearfar index add")  # fmt: skip
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
    encoded = Encoded.stored(table.take(places, [VECTOR, *([TOKENS, WEIGHTS] if table.has_token_weights else [])]))
    if again:
        encoded = encoded.replaced(again, rows.model.encode([changed[number].whole for number in again]))
    return writer.put(rows.of(changed, encoded)).replaced
