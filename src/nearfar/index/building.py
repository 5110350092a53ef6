"""An index that grows document by document beside its place, and takes it when it is whole."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
import pyarrow as pa

from nearfar.core.artifact import MANIFEST, check_place, is_artifact, read_meta, write_json
from nearfar.core.disk import disk_told
from nearfar.core.errors import BadInput, Interrupted
from nearfar.core.swap import put
from nearfar.index.canaries import Canaries
from nearfar.index.config import IndexConfig
from nearfar.index.generation import GENERATIONS, KIND, Parts, cells_of, check_finite, leave_only, meta_of, seal
from nearfar.index.lexicon import Lexicon
from nearfar.index.location import TABLE, Location, Storage
from nearfar.index.lock import alone
from nearfar.index.table import DOCUMENT, ID, VECTOR, Table, numbers
from nearfar.index.unreadable import first_of, reached, read_back

PLAN, URL = "plan.json", "url"  # what an unfinished index is to become, and in it, where its table is


class Building:
    """An unfinished index, which goes on where it stopped."""

    def __init__(self, target: Path, folder: Path, location: Location) -> None:
        self.target, self.folder, self.location = target, folder, location
        self._table: Any = _begun(folder, location)

    def __len__(self) -> int:
        return 0 if self._table is None else int(self._table.count_rows())

    @property
    def schema(self) -> pa.Schema | None:
        """Columns of the documents so far; None before the first."""
        return None if self._table is None else self._table.schema

    def ids(self) -> list[str]:
        """Ids of the documents so far, in order."""
        if self._table is None:
            return []
        table = Table.of(self._table)
        return list(dict.fromkeys(table.values(DOCUMENT if table.has_passages else ID)))

    def blocks(self, rows: int) -> Iterator[pa.Table]:
        """The documents so far, in order, so many at a time."""
        table = None if self._table is None else Table.of(self._table)
        for start in range(0, len(self), rows):
            if table is not None:
                yield table.take(np.arange(start, min(start + rows, len(table))), table.dataset.schema.names)

    def append(self, documents: pa.Table) -> None:
        """Add documents, which stay whatever happens then.

        Raises:
            BadInput: a vector is not finite.
        """
        check_finite([str(key) for key in documents[ID].to_pylist()], numbers(documents[VECTOR]))
        with self._taken_back():
            known = set() if self._table is None else {part.fragment_id for part in self._table.get_fragments()}
            self._insert(documents)
            for part in self._table.get_fragments():
                if part.fragment_id not in known:
                    part.to_table(columns=[ID])

    def _insert(self, documents: pa.Table) -> None:
        if self._table is None:
            self._table = self.location.create(documents)
            return
        for name in documents.schema.names:
            if name not in self._table.schema.names:
                self._table.add_columns(documents.schema.field(name))
        self._table.insert(documents)

    @contextmanager
    def _taken_back(self) -> Iterator[None]:
        """Take back what was written to the table when it cannot be read again: `read_back` says why."""
        version = 0 if self._table is None else self._table.version
        try:
            yield
        except Exception:
            self.location.forget_later(version)
            raise

    def finish(
        self, canaries: Canaries, config: IndexConfig, *, fingerprint: str, similarity: str, sparse: str = ""
    ) -> int:  # fmt: skip
        """Fit the codes, and put the index in its place in one step; how many documents it holds."""
        with self._taken_back():
            self._table.optimize.compact_files()
            self._table = self.location.open()
            table = Table.of(self._table)
            list(table.values(ID))
        names = table.names()
        leave_only(self.folder, [self.folder / PLAN, *(self.folder / TABLE / name for name in names)])
        if self.location.remote:
            self.location.leave_only(names, table.version)
        lexicon = Lexicon.begin(self.folder, "1", table)
        Parts(cells_of(table, config), lexicon, canaries).save(self.folder / GENERATIONS / "1", fingerprint)
        meta = meta_of((len(table), table.dimension), fingerprint=fingerprint, similarity=similarity, config=config,
                       version=table.version, sparse=sparse)  # fmt: skip
        seal(self.folder, table, self.location, lexicon, meta)
        count = table.documents
        put(self.folder, self.target)
        (self.target / PLAN).unlink()
        return count


@contextmanager
def building(path: Path, plan: Mapping[str, Any], table: Location | None = None) -> Iterator[Building]:
    """An index of this plan to be built; an unfinished one of the same plan is gone on with, any other is dropped.

    Args:
        table: the URL below which its table is to lie, and what opens object storage; with no URL, or None, the table
            lies in the folder.

    Raises:
        BadInput: another process is building it, or the disk or the object storage cannot take it.
    """
    check_place(path)
    table = table or Location("")
    plan = {**plan, "table": table.uri}
    target, folder = Path(os.path.realpath(path)), _folder_of(path)
    # of what is to be replaced: changes made meanwhile would be lost
    own = alone(target, path) if target.exists() else nullcontext()
    with disk_told(path, path, folder), reached(table.uri) if table.uri else read_back(path):
        if table.uri:
            table.begun()  # asked before anything is made: a mistyped URL leaves nothing
        with own:
            folder.mkdir(parents=True, exist_ok=True)
            with alone(folder, path):
                location = _place_of(folder, plan, table)
                (folder / MANIFEST).unlink(missing_ok=True)  # it may name files that are yet to be written
                (target / PLAN).unlink(missing_ok=True)
                with _kept(unfinished := Building(target, folder, location)):
                    yield unfinished
        with suppress(BadInput, OSError):  # the new one is visible already; gc takes what stays
            drop_replaced(path, table.storage)  # which `own` was the lock of


def drop_replaced(path: Path, storage: Storage | None = None) -> None:
    """Remove what was in the place of an index before it, which a process that was stopped may have left.

    Raises:
        BadInput: another process is building there, or its table cannot be reached.
    """
    folder = _folder_of(path)
    if folder.exists() and not (folder / PLAN).exists():
        with alone(folder, path):
            _drop_table(folder, storage)
            shutil.rmtree(folder, ignore_errors=True)


def _place_of(folder: Path, plan: Mapping[str, Any], table: Location) -> Location:
    """Where the table of an unfinished index of this plan is or is to be; what the folder has of another plan goes."""
    kept = _plan_of(folder)
    if {**kept, URL: None} != {**plan, URL: None}:
        _drop_table(folder, table.storage)
        leave_only(folder, [])
        # a name of its own for each build: the table of an index that is replaced stays until then
        kept = {**plan, URL: f"{table.uri}/documents-{token_hex(8)}.lance" if table.uri else None}
        write_json(folder / PLAN, kept)
    return Location(kept[URL] or str(folder / TABLE), table.storage)


def _drop_table(folder: Path, storage: Storage | None) -> None:
    """Remove the table at a URL that a folder's plan or manifest names, where it names one."""
    meta = read_meta(folder, KIND) if is_artifact(folder, KIND) else {}
    if url := _plan_of(folder).get(URL) or meta.get("table", {}).get("url"):
        with reached(url):
            Location(url, storage).drop()


def _folder_of(path: Path) -> Path:
    target = Path(os.path.realpath(path))
    return target.parent / f".{target.name}.building"


def _begun(folder: Path, location: Location) -> Any:
    """The table of an unfinished index; None where it has no documents yet."""
    if not location.begun():
        return None
    try:
        return location.open()
    except (ValueError, OSError) as error:
        raise BadInput.at(folder, expected="an unfinished index", found=first_of(error),
                          do="remove it to begin again") from None  # fmt: skip


@contextmanager
def _kept(unfinished: Building) -> Iterator[None]:
    """Leave nothing of an index that was stopped before its first documents; say how to go on with any other."""
    try:
        yield
    except BaseException as error:
        if not len(unfinished):
            _drop_table(unfinished.folder, unfinished.location.storage)
            shutil.rmtree(unfinished.folder)
        elif isinstance(error, KeyboardInterrupt):
            kept = f"{len(unfinished):,} documents are kept"
            raise Interrupted(f"interrupted; {kept}: the same command goes on") from None
        raise


def _plan_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / PLAN).read_text(encoding="utf-8"))) if (folder / PLAN).exists() else {}


def batch_of(columns: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    """Columns in the order of a schema, those that are lacking all missing values."""
    rows = len(columns[ID])
    arrays: Sequence[Any] = [columns.get(field.name, pa.nulls(rows, field.type)) for field in schema]
    return pa.table(list(arrays), schema=schema)
