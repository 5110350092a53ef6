"""Changes of an index: made beside what answers, and made visible all at once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from nearfar.core.artifact import MANIFEST, read_files, read_meta, read_whole
from nearfar.core.disk import disk_told
from nearfar.core.errors import BadInput
from nearfar.core.unicode import check_encodable
from nearfar.index.building import drop_replaced
from nearfar.index.cells import Rows
from nearfar.index.generation import (
    GENERATIONS,
    KIND,
    WORDS,
    Generation,
    Parts,
    cells_of,
    check_finite,
    leave_only,
    meta_of,
    open_index,
    seal,
)
from nearfar.index.lexicon import postings_of
from nearfar.index.location import Location, Storage
from nearfar.index.lock import alone
from nearfar.index.settings import FOLDER as SETTINGS
from nearfar.index.table import DOCUMENT, ID, VECTOR, Table, numbers
from nearfar.index.unreadable import reached, read_back

IDS_AT_ONCE = 5000  # of one condition


@dataclass(frozen=True)
class Put:
    """What became of documents that were put into an index."""

    added: int
    replaced: int


@contextmanager
def changing(path: Path, storage: Storage | None = None) -> Iterator[Writer]:
    """Change an index: when the block ends, all changes are visible at once, and when it raises, none is.

    Args:
        storage: what opens object storage, in addition to the environment.

    Raises:
        BadInput: there is no index, it is damaged, another process is changing it, or the disk or the object storage
            cannot take the change.
    """
    location = Location.of(path, read_meta(path, KIND))
    with disk_told(path, path), reached(location.uri) if location.remote else read_back(path), alone(path):
        writer = Writer(open_index(path, storage))
        yield writer
        writer.publish()


class Writer:
    """Changes that are not visible yet."""

    def __init__(self, start: Generation) -> None:
        self.start = start
        self._compacted = False  # and nothing else
        start.location.forget_later(start.table.version)  # of a process that was stopped before
        self._dataset: Any = start.location.open()

    @property
    def table(self) -> Table:
        """The documents with all changes so far."""
        return Table.of(self._dataset)

    @property
    def has_passages(self) -> bool:
        """Whether a row is a passage of a document."""
        return DOCUMENT in self._dataset.schema.names

    @property
    def documents(self) -> int:
        """How many documents there are with all changes so far."""
        return self.table.documents

    @property
    def schema(self) -> pa.Schema:
        """Columns of the index."""
        found: pa.Schema = self._dataset.schema
        return found

    def put(self, documents: pa.Table) -> Put:
        """Add documents, in the columns of the index and new ones; those whose id is there are replaced.

        Raises:
            BadInput: a vector is not finite, or an id comes twice.
        """
        ids = [str(key) for key in documents[ID].to_pylist()]
        check_finite(ids, numbers(documents[VECTOR]))
        check_once(ids)
        for name in documents.schema.names:
            if name not in self._dataset.schema.names:
                self._dataset.add_columns(documents.schema.field(name))
        merge = self._dataset.merge_insert(ID).when_matched_update_all().when_not_matched_insert_all()
        done = merge.execute(documents)
        return Put(done["num_inserted_rows"], done["num_updated_rows"])

    def delete(self, ids: Sequence[str]) -> int:
        """Delete the documents of these ids, with all their passages; how many documents there were.

        Raises:
            BadInput: an id is no text.
        """
        check_encodable(ids, "id")
        there = 0
        column = DOCUMENT if DOCUMENT in self._dataset.schema.names else ID
        for start in range(0, len(ids), IDS_AT_ONCE):
            listed = ", ".join("'" + key.replace("'", "''") + "'" for key in ids[start : start + IDS_AT_ONCE])
            condition = f"{column} in ({listed})"
            found = self._dataset.to_table(columns=[column], filter=condition)[column]
            there += len(set(found.to_pylist()))
            if len(found):
                self._dataset.delete(condition)
        return there

    def compact(self) -> None:
        """Write what is left of files with deletions anew, and small files together."""
        self._compacted = self._dataset.version == self.start.table.version
        self._dataset.optimize.compact_files(materialize_deletions_threshold=0.0)
        self._dataset = self.start.location.open()

    def publish(self) -> None:
        """Make the changes visible, in one step."""
        start, table = self.start, self.table
        if table.version == start.table.version:
            return
        number = start.number + 1
        folder = start.path / GENERATIONS / str(number)
        for left in (folder, start.path / WORDS / str(number)):  # by a process that was stopped
            shutil.rmtree(left, ignore_errors=True)
        parts = self._parts(table, str(number))
        parts.save(folder, start.fingerprint)
        meta = meta_of((len(table), table.dimension), fingerprint=start.fingerprint, similarity=start.similarity,
                       config=start.config, number=number, version=table.version, sparse=start.sparse)  # fmt: skip
        seal(start.path, table, start.location, parts.lexicon, meta)
        _keep(start.path / GENERATIONS, {str(number), str(start.number)})  # the last one, for who has just come to it
        _keep(start.path / WORDS, {*parts.lexicon.names, *start.lexicon.names})

    def _parts(self, table: Table, name: str) -> Parts:
        """Codes and words of the documents as they are now: those of new ones are made, the others taken over."""
        start = self.start
        kept, new = self._moved(start.table, table)
        lexicon = start.lexicon.changed(start.path, name, kept, postings_of(table, new))
        if start.cells is None or len(table) < start.config.exact_below // 2:
            return Parts(cells_of(table, start.config), lexicon, start.canaries)
        return Parts(start.cells.changed(kept, table.vectors(new)), lexicon, start.canaries)

    def _moved(self, old: Table, table: Table) -> tuple[Rows, Rows]:
        """Rows of old documents that are there still, and, behind them, rows of new ones."""
        kept = np.flatnonzero(np.isin(old.addresses, table.addresses))
        if np.array_equal(table.addresses[: len(kept)], old.addresses[kept]):
            return kept, np.arange(len(kept), len(table))
        if self._compacted and list(table.values(ID)) == list(old.values(ID)):  # other addresses, the same order
            return np.arange(len(old)), np.arange(0)
        return np.arange(0), np.arange(len(table))


def collect(path: Path, storage: Storage | None = None) -> int:
    """Remove everything that the visible generation does not need; how many bytes that freed.

    Raises:
        BadInput: there is no index, it is damaged, another process is changing it, or the disk or the object storage is
            in trouble.
    """
    read_meta(path, KIND)
    with disk_told(path, path), alone(path):
        before, whole = _bytes(path), read_whole(path, KIND)
        settings = (path / SETTINGS).rglob("*")  # a folder with a manifest of its own
        leave_only(path, [*(path / name for name in whole["files"]), *settings])
        drop_replaced(path, storage)
        return before - _bytes(path) + _collected(path, whole["meta"], storage)


def _collected(path: Path, meta: Mapping[str, Any], storage: Storage | None) -> int:
    """Bytes that were freed at the URL of an index's table."""
    location = Location.of(path, meta, storage)
    if not location.remote:
        return 0
    with reached(location.uri):
        return location.leave_only(meta["table"]["files"], meta["version"])


def check_once(ids: Sequence[str]) -> None:
    """Refuse ids of which one comes twice.

    Raises:
        BadInput: so.
    """
    seen: set[str] = set()
    for key in ids:
        if key in seen:
            raise BadInput.at(f"document '{key}'", expected="each id once", found="it twice", do="leave one out")
        seen.add(key)


def sizes(path: Path, storage: Storage | None = None) -> tuple[int, int]:
    """Bytes of all files of an index, and of those that the visible generation needs.

    Raises:
        BadInput: there is no index, or its table cannot be reached.
    """
    meta = read_meta(path, KIND)
    needed = sum(entry["bytes"] for entry in read_files(path, KIND).values()) + (path / MANIFEST).stat().st_size
    needed += _bytes(path / SETTINGS) if (path / SETTINGS).exists() else 0
    location = Location.of(path, meta, storage)
    if not location.remote:
        return _bytes(path), int(needed)
    with reached(location.uri):
        there = sum(location.sizes(meta["version"]).values())
    return _bytes(path) + there, int(needed) + sum(meta["table"]["files"].values())


def _keep(folder: Path, names: set[str]) -> None:
    for inside in folder.iterdir():
        if inside.name not in names:
            shutil.rmtree(inside, ignore_errors=True)  # the change is visible already; gc takes what stays


def _bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
