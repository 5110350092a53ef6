"""Documents into an index: built as a stream, added to, and changed, while what was there answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nearfar.core.errors import BadInput
from nearfar.data.documents import STDIN, Document, read_documents
from nearfar.encoder.encode import encode
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.load import load_encoder
from nearfar.encoder.precision import choose_policy
from nearfar.index.building import Building, batch_of, building
from nearfar.index.canaries import TEXTS, Canaries
from nearfar.index.columns import column, fields_of
from nearfar.index.config import IndexConfig
from nearfar.index.exact import check_space
from nearfar.index.generation import KIND, open_index
from nearfar.index.table import ID, TEXT, VECTOR, Table, column_of, schema_of
from nearfar.index.writer import Writer, changing, collect, sizes
from nearfar.pipeline.place import check_made
from nearfar.pipeline.progress import Reporter, Silent
from nearfar.pipeline.stored import Place

BLOCK = 8192  # documents encoded at a time
KEPT_SECONDS = 15.0  # after so long what has been encoded is written, so that no more is lost
KEPT_ROWS = 8 * BLOCK

Vectors = NDArray[np.float32]
Encode = Callable[[Sequence[str]], Vectors]


@dataclass(frozen=True)
class Changed:
    """An index, and what became of the documents that were given."""

    path: str
    documents: int  # that it holds now
    added: int = 0
    replaced: int = 0
    deleted: int = 0
    bytes_freed: int = 0


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
    reporter, config, policy = reporter or Silent(), config or IndexConfig(), choose_policy()
    encoder = load_encoder(model, policy.device)
    own: Encode = lambda texts: encode(encoder, texts, "document", policy)  # noqa: E731
    fingerprint = encoder.fingerprint()
    plan = {"source": source if source == STDIN else str(Path(source).resolve()), "fingerprint": fingerprint}
    with building(out, plan) as unfinished:
        _grow(unfinished, documents_of(source), Rows.like(unfinished.schema, own), reporter)
        reporter.say("fitting codes" if len(unfinished) >= config.exact_below else "few documents: no codes are needed")
        canaries = Canaries(TEXTS, own(TEXTS))
        count = unfinished.finish(canaries, config, fingerprint=fingerprint, similarity=encoder.similarity)
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
        rows = Rows.like(writer.schema, _own(place, writer, model))
        added = replaced = 0
        for block in _blocks(documents_of(source)):
            done = writer.put(rows.of(block))
            added, replaced = added + done.added, replaced + done.replaced
            reporter.say(f"{added + replaced:,} documents encoded")
        count = len(writer.table)
    return Changed(str(place.index), count, added=added, replaced=replaced)


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
        rows = Rows.like(writer.schema, _own(place, writer, model))
        for block in _blocks(documents_of(source)):
            replaced += _put_changed(writer, rows, block)
            reporter.say(f"{replaced:,} documents changed")
        count = len(writer.table)
    return Changed(str(place.index), count, replaced=replaced)


def delete(index: str | Path, ids: Sequence[str], *, reporter: Reporter | None = None) -> Changed:
    """Delete the documents of these ids; those that are not there are no error.

    Raises:
        BadInput: the index cannot be read, or another process is changing it.
    """
    place = Place.of(index)
    with changing(place.index) as writer:
        deleted, count = writer.delete(ids), len(writer.table)
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
        count = len(writer.table)
    return Changed(str(place.index), count)


def gc(index: str | Path) -> Changed:
    """Remove what no generation but the visible one needs; processes that have the index open must open it again.

    Raises:
        BadInput: the index cannot be read, or another process is changing it.
    """
    place = Place.of(index)
    freed = collect(place.index)
    return Changed(str(place.index), len(open_index(place.index)), bytes_freed=freed)


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
    return Checked(str(place.index), opened.number, len(opened), opened.table.dimension, opened.fingerprint, on_disk,
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


def _put_changed(writer: Writer, rows: Rows, block: list[Document]) -> int:
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


def _own(place: Place, writer: Writer, model: str | Path | None) -> Encode:
    """Encodes by the index's own model, which is loaded when it is needed."""
    loaded: list[Encoder] = []
    policy = choose_policy()

    def own(texts: Sequence[str]) -> Vectors:
        if not loaded:
            loaded.append(load_encoder(model or _beside(place), policy.device))
            check_space(writer.start.fingerprint, loaded[0].fingerprint())
        return encode(loaded[0], texts, "document", policy)

    return own


def _beside(place: Place) -> Path:
    if place.run is None:
        raise BadInput.at(place.index, expected="the model of the index", found="none named, and none beside it",
                          do="give --model")  # fmt: skip
    return place.run / "model"


def _stored(index: Path) -> Iterator[Document]:
    table: Table = open_index(index).table
    for start in range(0, len(table), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(table)))
        for values in table.take(rows, [ID, TEXT, *table.columns]).to_pylist():
            key, text = values.pop(ID), values.pop(TEXT)
            metadata = {name: value for name, value in values.items() if value is not None}
            yield Document(key, text, f"{index}: document '{key}'", metadata, titled=True)


def _blocks(documents: Iterable[Document]) -> Iterator[list[Document]]:
    rest = iter(documents)
    while block := list(islice(rest, BLOCK)):
        yield block
