"""Changes of an index: made beside what answers, and made visible all at once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa

from nearfar.core.artifact import MANIFEST, read_files, read_meta
from nearfar.core.disk import disk_told
from nearfar.core.errors import BadInput
from nearfar.index.cells import Cells
from nearfar.index.generation import (
    GENERATIONS,
    HINT,
    KIND,
    TABLE,
    Generation,
    cells_of,
    check_finite,
    meta_of,
    open_index,
    seal,
    write_generation,
)
from nearfar.index.lock import alone
from nearfar.index.table import ID, VECTOR, Table, numbers

IDS_AT_ONCE = 5000  # of one condition


@dataclass(frozen=True)
class Put:
    """What became of documents that were put into an index."""

    added: int
    replaced: int


@contextmanager
def changing(path: Path) -> Iterator[Writer]:
    """Change an index: when the block ends, all changes are visible at once, and when it raises, none is.

    Raises:
        BadInput: there is no index, it is damaged, another process is changing it, or the disk cannot take the change.
    """
    read_meta(path, KIND)
    with disk_told(path, path), alone(path):
        writer = Writer(open_index(path))
        yield writer
        writer.publish()


class Writer:
    """Changes that are not visible yet."""

    def __init__(self, start: Generation) -> None:
        self.start = start
        self._compacted = False  # and nothing else
        self._dataset: Any = lance.dataset(start.table.dataset.uri)
        if self._dataset.version != start.table.version:  # a process was stopped before its changes were visible
            self._dataset = self._dataset.checkout_version(start.table.version)
            self._dataset.restore()

    @property
    def table(self) -> Table:
        """The documents with all changes so far."""
        return Table.of(self._dataset)

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
        """Delete the documents of these ids; how many there were."""
        before = self._dataset.count_rows()
        for start in range(0, len(ids), IDS_AT_ONCE):
            listed = ", ".join("'" + key.replace("'", "''") + "'" for key in ids[start : start + IDS_AT_ONCE])
            self._dataset.delete(f"{ID} in ({listed})")
        return int(before - self._dataset.count_rows())

    def compact(self) -> None:
        """Write what is left of files with deletions anew, and small files together."""
        self._compacted = self._dataset.version == self.start.table.version
        self._dataset.optimize.compact_files(materialize_deletions_threshold=0.0)
        self._dataset = lance.dataset(self._dataset.uri)

    def publish(self) -> None:
        """Make the changes visible, in one step."""
        start, table = self.start, self.table
        if table.version == start.table.version:
            return
        number = start.number + 1
        folder = start.path / GENERATIONS / str(number)
        shutil.rmtree(folder, ignore_errors=True)  # of a process that was stopped
        write_generation(folder, self._cells(table), start.canaries, start.fingerprint)
        meta = meta_of((len(table), table.dimension), fingerprint=start.fingerprint, similarity=start.similarity,
                       config=start.config, number=number, version=table.version)  # fmt: skip
        seal(start.path, table, meta)
        for old in (start.path / GENERATIONS).iterdir():
            if old.name not in {str(number), str(start.number)}:  # the last one answers readers that have just come
                shutil.rmtree(old, ignore_errors=True)
        self.start = replace(start, number=number, table=table)

    def _cells(self, table: Table) -> Cells | None:
        """Codes of the documents as they are now: those of new vectors are made, the others taken over."""
        old, cells, config = self.start.table, self.start.cells, self.start.config
        if cells is None or len(table) < config.exact_below // 2:
            return cells_of(table, config)
        kept = np.flatnonzero(np.isin(old.addresses, table.addresses))
        new = np.flatnonzero(~np.isin(table.addresses, old.addresses))
        if np.array_equal(table.addresses[: len(kept)], old.addresses[kept]):
            return cells.changed(kept, table.vectors(new))
        if self._compacted and table.column(ID) == old.column(ID):
            return cells
        return cells.coder.cells(table.blocks(), len(table))


def collect(path: Path) -> int:
    """Remove everything that the visible generation does not need; how many bytes that freed.

    Raises:
        BadInput: there is no index, it is damaged, or another process is changing it.
    """
    before = _bytes(path)
    with changing(path):
        pass  # what a process that was stopped left in the table goes behind the visible generation
    with alone(path):
        now = open_index(path)
        for old in (path / GENERATIONS).iterdir():
            if old.name != str(now.number):
                shutil.rmtree(old)
        now.table.dataset.cleanup_old_versions(older_than=timedelta(0), delete_unverified=True)
        (path / TABLE / HINT).unlink(missing_ok=True)
    return before - _bytes(path)


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


def sizes(path: Path) -> tuple[int, int]:
    """Bytes of all files of an index folder, and of those that the visible generation needs.

    Raises:
        BadInput: there is no index.
    """
    needed = sum(entry["bytes"] for entry in read_files(path, KIND).values()) + (path / MANIFEST).stat().st_size
    return _bytes(path), int(needed)


def _bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
