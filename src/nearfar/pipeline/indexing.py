"""Documents into an index: built as a stream, added to, and changed, while what was there answers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from nearfar.core.errors import BadInput
from nearfar.data.documents import STDIN, Document, read_documents
from nearfar.index.building import Building, batch_of, building
from nearfar.index.canaries import TEXTS, Canaries
from nearfar.index.config import IndexConfig
from nearfar.index.generation import KIND, open_index
from nearfar.index.table import ID, TEXT, passage_fields
from nearfar.index.writer import Writer, changing, collect, sizes
from nearfar.pipeline.document_rows import Model, Rows
from nearfar.pipeline.place import check_made
from nearfar.pipeline.progress import Reporter, Silent
from nearfar.pipeline.stored import Place

BLOCK = 8192  # documents encoded at a time
KEPT_SECONDS = 15.0  # after so long what has been encoded is written, so that no more is lost
KEPT_ROWS = 8 * BLOCK


@dataclass(frozen=True)
class Changed:
    """An index, and what became of the documents that were given."""

    path: str
    documents: int  # that it holds now
    added: int = 0
    replaced: int = 0
    deleted: int = 0
    bytes_freed: int = 0


def build(
    source: str,
    model: str | Path,
    out: Path,
    *,
    config: IndexConfig | None = None,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> Changed:
    """Write an index of the documents of a source: a file, a folder, standard input (-), or another run or index.

    They are encoded as they come, and kept: the same call goes on where one was stopped.

    Raises:
        BadInput: source or model cannot be read, an id comes twice, or `out` exists and is not to be replaced.
    """
    check_made(out, KIND, "an index", overwrite=overwrite)
    if out.exists() and not overwrite:
        raise BadInput.at(out, expected="a new folder", found="an index", do="add to it, or give --overwrite")
    reporter, config = reporter or Silent(), config or IndexConfig()
    own = Model(model, config)
    fingerprint = own.encoder.fingerprint()
    plan = {"source": source if source == STDIN else str(Path(source).resolve()), "fingerprint": fingerprint,
            "passages": config.passages}  # fmt: skip
    with building(out, plan) as unfinished:
        _grow(unfinished, documents_of(source), Rows.like(unfinished.schema, own), reporter)
        if len(unfinished) >= config.exact_below:
            reporter.say("fitting codes")
        canaries = Canaries(TEXTS, own.encode(TEXTS))
        count = unfinished.finish(canaries, config, fingerprint=fingerprint, similarity=own.encoder.similarity)
    return Changed(str(out), count, added=count)


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


def add(
    index: str | Path, source: str, model: str | Path | None = None, *, reporter: Reporter | None = None
) -> Changed:
    """Add the documents of a source to an index; those whose id is there are replaced. All become visible at once.

    Args:
        model: the index's own; None for that of its run.

    Raises:
        BadInput: index, source or model cannot be read, or another process is changing the index.
        FingerprintMismatch: the model is not the index's own.
    """
    place, reporter = Place.of(index), reporter or Silent()
    with changing(place.index) as writer:
        rows = Rows.like(writer.schema, Model.of(place, model, writer.start.config, writer.start.fingerprint))
        added = replaced = 0
        for block in _blocks(documents_of(source)):
            replaced += _put(writer, rows.of(block), [one.id for one in block])
            added += len(block)
            reporter.say(f"{added:,} documents encoded")
        count = writer.documents
    return Changed(str(place.index), count, added=added - replaced, replaced=replaced)


def update(
    index: str | Path, source: str, model: str | Path | None = None, *, reporter: Reporter | None = None
) -> Changed:
    """Change documents of an index: what is given of each takes the place of what was; changed texts are encoded.

    Raises:
        BadInput: as of `add`; or an id is not in the index, which is named.
        FingerprintMismatch: the model is not the index's own.
    """
    place, reporter = Place.of(index), reporter or Silent()
    replaced = 0
    with changing(place.index) as writer:
        rows = Rows.like(writer.schema, Model.of(place, model, writer.start.config, writer.start.fingerprint))
        for block in _blocks(documents_of(source)):
            replaced += _put_changed(writer, rows, block)
            reporter.say(f"{replaced:,} documents changed")
        count = writer.documents
    return Changed(str(place.index), count, replaced=replaced)


def delete(index: str | Path, ids: Sequence[str], *, reporter: Reporter | None = None) -> Changed:
    """Delete the documents of these ids; those that are not there are no error.

    Raises:
        BadInput: the index cannot be read, or another process is changing it.
    """
    place = Place.of(index)
    with changing(place.index) as writer:
        deleted, count = writer.delete(ids), writer.documents
    if deleted < len(ids):
        (reporter or Silent()).say(f"{len(ids) - deleted:,} of {len(ids):,} ids were not in the index")
    return Changed(str(place.index), count, deleted=deleted)


def compact(index: str | Path) -> Changed:
    """Write small files of an index together and leave out what was deleted; `gc` then frees the space.

    Raises:
        BadInput: the index cannot be read, or another process is changing it.
    """
    place = Place.of(index)
    with changing(place.index) as writer:
        writer.compact()
        count = writer.documents
    return Changed(str(place.index), count)


def gc(index: str | Path) -> Changed:
    """Remove what no generation but the visible one needs; processes that have the index open must open it again.

    Raises:
        BadInput: the index cannot be read, or another process is changing it.
    """
    place = Place.of(index)
    freed = collect(place.index)
    return Changed(str(place.index), open_index(place.index).count, bytes_freed=freed)


@dataclass(frozen=True)
class Checked:
    """An index of which every file is as it was written."""

    path: str
    generation: int
    documents: int
    dimension: int
    fingerprint: str
    bytes_on_disk: int
    bytes_to_free: int  # of earlier generations and of processes that were stopped
    bytes_in_memory: int  # that a search needs: codes and places, or the vectors of few documents


def check(index: str | Path) -> Checked:
    """Read every file of an index, and compare it with its checksum.

    Raises:
        BadInput: there is none, or it is damaged.
    """
    place = Place.of(index)
    opened = open_index(place.index)
    on_disk, needed = sizes(place.index)
    return Checked(str(place.index), opened.number, opened.count, opened.table.dimension, opened.fingerprint, on_disk,
                   on_disk - needed, opened.bytes_in_memory)  # fmt: skip


def _grow(unfinished: Building, documents: Iterator[Document], rows: Rows, reporter: Reporter) -> None:
    """Append the documents that are not there yet, some seconds' worth at a time."""
    there = unfinished.ids()
    for key in there:
        document = next(documents, None)
        if document is None or document.id != key:
            raise BadInput.at(document.where if document else "source", expected=f"the document '{key}', as before",
                              found=f"'{document.id}'" if document else "its end",
                              do=f"remove {unfinished.folder} to begin again")  # fmt: skip
    if there:
        reporter.say(f"going on after {len(there):,} documents")
    start, begun, kept, waiting = time.monotonic(), time.monotonic(), 0, []
    for block in _blocks(documents):
        waiting.append(rows.of(block))
        kept += len(block)
        if time.monotonic() - start > KEPT_SECONDS or sum(map(len, waiting)) >= KEPT_ROWS:
            unfinished.append(_joined(waiting))
            reporter.say(f"{kept:,} documents encoded, {kept / (time.monotonic() - begun):,.0f} a second")
            start, waiting = time.monotonic(), []
    if waiting:
        unfinished.append(_joined(waiting))


def _joined(tables: list[pa.Table]) -> pa.Table:
    widest = tables[-1].schema  # a later one has the columns of all before
    return pa.concat_tables([batch_of({name: table[name] for name in table.schema.names}, widest) for table in tables])


def _put(writer: Writer, rows: pa.Table, ids: Sequence[str]) -> int:
    """Put documents into an index; how many of these ids were there."""
    if not writer.has_passages:
        return writer.put(rows).replaced
    replaced = writer.delete(ids)  # a document may have had more passages than it has now
    writer.put(rows)
    return replaced


def _put_changed(writer: Writer, rows: Rows, block: list[Document]) -> int:
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
    vectors = table.vectors(places).copy()
    if again:
        vectors[again] = rows.model.encode([changed[number].whole for number in again])
    return writer.put(rows.of(changed, vectors)).replaced


def _stored(index: Path) -> Iterator[Document]:
    table = open_index(index).table
    own = [one.name for one in passage_fields()] if table.has_passages else []
    for start in range(0, len(table), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(table)))
        for values in table.take(rows, [ID, TEXT, *own, *table.columns]).to_pylist():
            key, text = values.pop(ID), values.pop(TEXT)
            passage = {name: values.pop(name) for name in own}
            metadata = {name: value for name, value in values.items() if value is not None}
            yield Document(key, text, f"{index}: document '{key}'", metadata, passage, titled=True)


def _blocks(documents: Iterable[Document]) -> Iterator[list[Document]]:
    rest = iter(documents)
    while block := list(islice(rest, BLOCK)):
        yield block
