"""Documents into an index: built as a stream, added to, and changed, while what was there answers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from nearfar.core.errors import BadInput, FingerprintMismatch
from nearfar.data.documents import STDIN, Document
from nearfar.index.building import Building, building
from nearfar.index.canaries import TEXTS, Canaries
from nearfar.index.cells import check_codec
from nearfar.index.config import IndexConfig
from nearfar.index.generation import KIND, open_index
from nearfar.index.table import ID
from nearfar.index.writer import Writer, changing, collect, sizes
from nearfar.pipeline.index_rows import BLOCK, Encode, Rows, Vectors, blocks, documents_of, joined, put_changed
from nearfar.pipeline.place import Place, check_made
from nearfar.pipeline.progress import Reporter, Silent

if TYPE_CHECKING:
    from nearfar.encoder.encoder import Encoder

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
        BadInput: source or model cannot be read, an id comes twice, the codec is unknown, or `out` exists and is not to
            be replaced.
        Interrupted: Ctrl-C, when there is something to go on with.
    """
    check_made(out, KIND, "an index", overwrite=overwrite)
    if out.exists() and not overwrite:
        raise BadInput.at(out, expected="a new folder", found="an index", do="add to it, or give --overwrite")
    reporter, config = reporter or Silent(), config or IndexConfig()
    check_codec(config.codec)
    encoder = _loaded(model)
    own = _encoding(encoder)
    fingerprint = encoder.fingerprint()
    plan = {"source": source if source == STDIN else str(Path(source).resolve()), "fingerprint": fingerprint}
    with building(out, plan) as unfinished:
        _grow(unfinished, documents_of(source), Rows.like(unfinished.schema, own), reporter)
        reporter.say("fitting codes" if len(unfinished) >= config.exact_below else "few documents: no codes are needed")
        canaries = Canaries(TEXTS, own(TEXTS))
        count = unfinished.finish(canaries, config, fingerprint=fingerprint, similarity=encoder.similarity)
    return Changed(str(out), count, added=count)


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
        for block in blocks(documents_of(source)):
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
        for block in blocks(documents_of(source)):
            replaced += put_changed(writer, rows, block)
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
    if deleted < (asked := len(set(ids))):
        (reporter or Silent()).say(f"{asked - deleted:,} of {asked:,} ids were not in the index")
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
    for kept_rows in unfinished.blocks(BLOCK):
        given = list(islice(documents, len(kept_rows)))
        if (row := rows.first_other(given, kept_rows)) is not None:
            where = given[row].where if row < len(given) else "the end of the documents"
            raise BadInput.at(where, expected="the documents that this index was begun with, here "
                              f"'{kept_rows[ID][row]}'", found="another or changed one",
                              do=f"remove {unfinished.folder} to begin again")  # fmt: skip
    if len(unfinished):
        reporter.say(f"going on after {len(unfinished):,} documents")
    start, begun, kept, waiting = time.monotonic(), time.monotonic(), 0, []
    for block in blocks(documents):
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


def _own(place: Place, writer: Writer, model: str | Path | None) -> Encode:
    """Encodes by the index's own model, which is loaded and checked now if it is named, or else when it is needed."""

    @cache
    def encoding() -> Encode:
        encoder = _loaded(model or _beside(place))
        own, found = writer.start.fingerprint, encoder.fingerprint()
        if own != found:
            raise FingerprintMismatch(
                f"{place.index}: expected its own model {own}, found {found}; give that one, "
                f"or make another index: nearfar index build --from {place.index} --model …"
            )
        return _encoding(encoder)

    if model is not None:
        encoding()

    def own(texts: Sequence[str]) -> Vectors:
        return encoding()(texts)

    return own


def _loaded(model: str | Path) -> Encoder:
    from nearfar.encoder.load import load_encoder  # noqa: PLC0415, torch, which most changes do not need
    from nearfar.encoder.precision import choose_policy  # noqa: PLC0415

    return load_encoder(model, choose_policy().device)


def _encoding(encoder: Encoder) -> Encode:
    from nearfar.encoder.encode import encode  # noqa: PLC0415
    from nearfar.encoder.precision import choose_policy  # noqa: PLC0415

    policy = choose_policy()
    return lambda texts: encode(encoder, texts, "document", policy)


def _beside(place: Place) -> Path:
    if place.run is None:
        raise BadInput.at(place.index, expected="the model of the index", found="none named, and none beside it",
                          do="give --model")  # fmt: skip
    return place.run / "model"
