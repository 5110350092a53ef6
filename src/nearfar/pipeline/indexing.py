"""Documents into an index: built as a stream, added to, and changed, while what was there answers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from nearfar.core.errors import BadInput
from nearfar.data.documents import STDIN, Document
from nearfar.index.building import Building, building
from nearfar.index.canaries import TEXTS, Canaries
from nearfar.index.cells import check_codec
from nearfar.index.config import IndexConfig
from nearfar.index.generation import KIND, open_index
from nearfar.index.location import Location, Storage
from nearfar.index.table import ID
from nearfar.index.writer import changing, collect, sizes
from nearfar.pipeline.document_rows import Model, Rows
from nearfar.pipeline.index_rows import (
    BLOCK,
    blocks,
    cut_into,
    documents_of,
    fulfilling,
    joined,
    once,
    put,
    put_changed,
)
from nearfar.pipeline.place import Place, check_made
from nearfar.pipeline.progress import Reporter, Silent

KEPT_SECONDS = 15.0  # after so long what has been encoded is written, so that no more is lost
KEPT_ROWS = 8 * BLOCK
SLOW_BLOCK = 512  # documents encoded at a time where weights of the whole vocabulary are computed for each token


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
    table: Location | None = None,
    reporter: Reporter | None = None,
) -> Changed:
    """Write an index of the documents of a source: a file, a folder, standard input (-), or another run or index.

    They are encoded as they come, and kept: the same call goes on where one was stopped.

    Args:
        table: a URL for the table, with what opens object storage; None, or no URL: it lies in the folder.

    Raises:
        BadInput: source or model cannot be read, an id comes twice, the codec is unknown, or `out` exists and is not to
            be replaced.
        Interrupted: Ctrl-C, when there is something to go on with.
    """
    check_made(out, KIND, "an index", overwrite=overwrite)
    if out.exists() and not overwrite:
        raise BadInput.at(out, expected="a new folder", found="an index", do="add to it, or give --overwrite")
    reporter, config = reporter or Silent(), config or IndexConfig()
    check_codec(config.codec)
    config = _remembered(config)
    own = Model(model, config)
    fingerprint, sparse = own.encoder.fingerprint(), own.sparse.fingerprint() if own.sparse else ""
    plan = {"source": source if source == STDIN else str(Path(source).resolve()), "fingerprint": fingerprint,
            "sparse": sparse, "passages": config.passages}  # fmt: skip
    with building(out, plan, table) as unfinished:
        documents = documents_of(source, table.storage if table else None)
        _grow(unfinished, documents, Rows.like(unfinished.schema, own), reporter)
        if len(unfinished) >= config.exact_below:
            reporter.say("fitting codes")
        canaries = Canaries(TEXTS, own.vectors(TEXTS))
        kept = config.model_copy(update={"passages": cut_into(source) or config.passages})
        count = unfinished.finish(canaries, kept, fingerprint=fingerprint, similarity=own.encoder.similarity,
                                  sparse=sparse)  # fmt: skip
    return Changed(str(out), count, added=count)


def add(
    index: str | Path, source: str | Iterable[Document], model: str | Path | Model | None = None, *,
    sparse: str | Path | None = None, storage: Storage | None = None, reporter: Reporter | None = None,
) -> Changed:  # fmt: skip
    """Add the documents of a source to an index; those whose id is there are replaced. All become visible at once.

    Args:
        model: the index's own; None for that of its run.
        sparse: the index's sparse encoder; None for what it remembers.
        storage: what opens object storage, in addition to the environment, by Lance's names.

    Raises:
        BadInput: index, source or a model cannot be read, or another process is changing the index.
        FingerprintMismatch: a model is not the index's own.
    """
    place, reporter = Place.of(index), reporter or Silent()
    with changing(place.index, storage) as writer:
        own = model if isinstance(model, Model) else Model.of(place, model, writer.start, sparse)
        rows = Rows.like(writer.schema, own)
        added = replaced = 0
        for block in blocks(documents_of(source, storage) if isinstance(source, str) else once(source)):
            replaced += put(writer, rows.of(block), [one.id for one in block])
            added += len(block)
            reporter.say(f"{added:,} documents encoded")
        count = writer.documents
    return Changed(str(place.index), count, added=added - replaced, replaced=replaced)


def update(
    index: str | Path, source: str, model: str | Path | None = None, *, sparse: str | Path | None = None,
    storage: Storage | None = None, reporter: Reporter | None = None,
) -> Changed:  # fmt: skip
    """Change documents of an index: what is given of each takes the place of what was; changed texts are encoded.

    Raises:
        BadInput: as of `add`; or an id is not in the index, which is named.
        FingerprintMismatch: the model is not the index's own.
    """
    place, reporter = Place.of(index), reporter or Silent()
    replaced = 0
    with changing(place.index, storage) as writer:
        rows = Rows.like(writer.schema, Model.of(place, model, writer.start, sparse))
        for block in blocks(documents_of(source, storage)):
            replaced += put_changed(writer, rows, block)
            reporter.say(f"{replaced:,} documents changed")
        count = writer.documents
    return Changed(str(place.index), count, replaced=replaced)


def delete(
    index: str | Path,
    ids: Sequence[str] = (),
    *,
    where: str = "",
    dry_run: bool = False,
    storage: Storage | None = None,
    reporter: Reporter | None = None,
) -> Changed:
    """Delete the documents of these ids, of which those that are not there are no error, or those of a filter.

    Args:
        where: a condition in the language of filters, in the place of ids; of a document in passages, one must fulfil
            it.
        dry_run: only count them.

    Raises:
        BadInput: the index or the filter cannot be read, or another process is changing the index.
    """
    if bool(where) == bool(ids):
        raise BadInput.at("index delete", expected="ids or a filter", found="both" if where else "neither",
                          do="give one of them")  # fmt: skip
    place = Place.of(index)
    if dry_run:
        opened = open_index(place.index, storage)
        there = set(fulfilling(opened.table, where) if where else ids) & set(opened.documents)
        return Changed(str(place.index), opened.count, deleted=len(there))
    with changing(place.index, storage) as writer:
        wanted = fulfilling(writer.table, where) if where else ids
        deleted, count = writer.delete(wanted), writer.documents
    if deleted < (asked := len(set(wanted))):
        (reporter or Silent()).say(f"{asked - deleted:,} of {asked:,} ids were not in the index")
    return Changed(str(place.index), count, deleted=deleted)


def compact(index: str | Path, storage: Storage | None = None) -> Changed:
    """Write small files of an index together and leave out what was deleted; `gc` then frees the space.

    Raises:
        BadInput: the index cannot be read, or another process is changing it.
    """
    place = Place.of(index)
    with changing(place.index, storage) as writer:
        writer.compact()
        count = writer.documents
    return Changed(str(place.index), count)


def gc(index: str | Path, storage: Storage | None = None) -> Changed:
    """Remove what no generation but the visible one needs; processes that have the index open must open it again.

    Raises:
        BadInput: the index cannot be read, or another process is changing it.
    """
    place = Place.of(index)
    freed = collect(place.index, storage)
    return Changed(str(place.index), open_index(place.index, storage).count, bytes_freed=freed)


@dataclass(frozen=True)
class Checked:
    """An index of which every file is as it was written."""

    path: str
    table: str  # where its table lies
    generation: int
    documents: int
    dimension: int
    fingerprint: str
    bytes_on_disk: int
    bytes_to_free: int  # of earlier generations and of processes that were stopped
    bytes_in_memory: int  # that a search needs: codes and places, or the vectors of few documents


def check(index: str | Path, storage: Storage | None = None) -> Checked:
    """Read every file of an index, and compare it with its checksum; of a table at a URL, compare the sizes.

    Raises:
        BadInput: there is none, or it is damaged, or its table cannot be reached.
    """
    place = Place.of(index)
    opened = open_index(place.index, storage)
    on_disk, needed = sizes(place.index, storage)
    return Checked(str(place.index), opened.location.uri, opened.number, opened.count, opened.table.dimension,
                   opened.fingerprint, on_disk, on_disk - needed, opened.bytes_in_memory)  # fmt: skip


def _remembered(config: IndexConfig) -> IndexConfig:
    """The same with a sparse encoder's folder as it is found from any other."""
    folder = Path(config.sparse).expanduser()
    known = str(folder.resolve()) if config.sparse and folder.is_dir() else config.sparse
    return config.model_copy(update={"sparse": known})


def _go_on(unfinished: Building, documents: Iterator[Document], rows: Rows) -> None:
    """Pass over the documents that are there, and see that they are the same."""
    begun = "the documents that this index was begun with, here"
    do = f"remove {unfinished.folder} to begin again"
    if rows.model.config.passages:
        for key in unfinished.ids():
            one = next(documents, None)
            if one is None or one.id != key:
                raise BadInput.at(one.where if one else "the end of the documents", expected=f"{begun} '{key}'",
                                  found="another", do=do)  # fmt: skip
        return
    for kept in unfinished.blocks(BLOCK):
        given = list(islice(documents, len(kept)))
        if (row := rows.first_other(given, kept)) is not None:
            raise BadInput.at(given[row].where if row < len(given) else "the end of the documents",
                              expected=f"{begun} '{kept[ID][row]}'", found="another or changed one", do=do)  # fmt: skip


def _grow(unfinished: Building, documents: Iterator[Document], rows: Rows, reporter: Reporter) -> None:
    """Append the documents that are not there yet, some seconds' worth at a time."""
    _go_on(unfinished, documents, rows)
    if len(unfinished):
        reporter.say(f"going on after {len(unfinished):,} documents")
    start, begun, kept, waiting = time.monotonic(), time.monotonic(), 0, []
    for block in blocks(documents, SLOW_BLOCK if rows.model.config.sparse else BLOCK):
        waiting.append(rows.of(block))
        kept += len(block)
        if time.monotonic() - start > KEPT_SECONDS or sum(map(len, waiting)) >= KEPT_ROWS:
            unfinished.append(joined(waiting))
            reporter.say(f"{kept:,} documents encoded, {kept / (time.monotonic() - begun):,.0f} a second")
            start, waiting = time.monotonic(), []
    if waiting:
        unfinished.append(joined(waiting))
    if not len(unfinished):
        raise BadInput.at("documents", expected="one or more", found="none", do="choose another source")
