"""An index that grows document by document beside its place, and takes it when it is whole."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa

from nearfar.core.artifact import MANIFEST, check_place, write_json
from nearfar.core.disk import disk_told
from nearfar.core.errors import BadInput, Interrupted
from nearfar.core.swap import put
from nearfar.index.canaries import Canaries
from nearfar.index.config import IndexConfig
from nearfar.index.generation import GENERATIONS, TABLE, Parts, cells_of, check_finite, leave_only, meta_of, seal
from nearfar.index.lexicon import Lexicon
from nearfar.index.lock import alone
from nearfar.index.table import DOCUMENT, ID, MANIFEST_OF_VERSION, VECTOR, VERSIONS, Table, forget_later, numbers
from nearfar.index.unreadable import read_back

PLAN = "plan.json"  # what an unfinished index is to become


class Building:
    """An unfinished index, which goes on where it stopped."""

    def __init__(self, target: Path, folder: Path) -> None:
        self.target, self.folder = target, folder
        self._table: Any = _begun(folder / TABLE)

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
            self._table = lance.write_dataset(documents, str(self.folder / TABLE), enable_v2_manifest_paths=True)
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
            forget_later(self.folder / TABLE, version)
            raise

    def finish(
        self, canaries: Canaries, config: IndexConfig, *, fingerprint: str, similarity: str, sparse: str = ""
    ) -> int:  # fmt: skip
        """Fit the codes, and put the index in its place in one step; how many documents it holds."""
        with self._taken_back():
            self._table.optimize.compact_files()
            self._table = lance.dataset(self._table.uri)
            table = Table.of(self._table)
            list(table.values(ID))
        leave_only(self.folder, [self.folder / PLAN, *table.files(self.folder / TABLE)])
        lexicon = Lexicon.begin(self.folder, "1", table)
        Parts(cells_of(table, config), lexicon, canaries).save(self.folder / GENERATIONS / "1", fingerprint)
        meta = meta_of((len(table), table.dimension), fingerprint=fingerprint, similarity=similarity, config=config,
                       version=table.version, sparse=sparse)  # fmt: skip
        seal(self.folder, table, lexicon, meta)
        count = table.documents
        put(self.folder, self.target)
        (self.target / PLAN).unlink()
        return count


@contextmanager
def building(path: Path, plan: Mapping[str, Any]) -> Iterator[Building]:
    """An index of this plan to be built; an unfinished one of the same plan is gone on with, any other is dropped.

    Raises:
        BadInput: another process is building it, or the disk cannot take it.
    """
    check_place(path)
    target, folder = Path(os.path.realpath(path)), _folder_of(path)
    # of what is to be replaced: changes made meanwhile would be lost
    own = alone(target, path) if target.exists() else nullcontext()
    with disk_told(path, path, folder), read_back(path):
        with own:
            folder.mkdir(parents=True, exist_ok=True)
            with alone(folder, path):
                if _plan_of(folder) != dict(plan):
                    leave_only(folder, [])
                    write_json(folder / PLAN, plan)
                (folder / MANIFEST).unlink(missing_ok=True)  # it may name files that are yet to be written
                (target / PLAN).unlink(missing_ok=True)
                with _kept(unfinished := Building(target, folder)):
                    yield unfinished
        with suppress(BadInput, OSError):  # the new one is visible already; gc takes what stays
            drop_replaced(path)  # which `own` was the lock of


def drop_replaced(path: Path) -> None:
    """Remove what was in the place of an index before it, which a process that was stopped may have left.

    Raises:
        BadInput: another process is building there.
    """
    folder = _folder_of(path)
    if folder.exists() and not (folder / PLAN).exists():
        with alone(folder, path):
            shutil.rmtree(folder, ignore_errors=True)


def _folder_of(path: Path) -> Path:
    target = Path(os.path.realpath(path))
    return target.parent / f".{target.name}.building"


def _begun(path: Path) -> Any:
    """The table of an unfinished index; None where it has no documents yet."""
    if not any((path / VERSIONS).glob(f"*{MANIFEST_OF_VERSION}")):  # a process can be stopped in its first write
        return None
    try:
        return lance.dataset(path)
    except (ValueError, OSError) as error:
        raise BadInput.at(path.parent, expected="an unfinished index", found=str(error).split(",")[0],
                          do="remove it to begin again") from None  # fmt: skip


@contextmanager
def _kept(unfinished: Building) -> Iterator[None]:
    """Leave nothing of an index that was stopped before its first documents; say how to go on with any other."""
    try:
        yield
    except BaseException as error:
        if not len(unfinished):
            shutil.rmtree(unfinished.folder)
        elif isinstance(error, KeyboardInterrupt):
            kept = f"{len(unfinished):,} documents are kept"
            raise Interrupted(f"interrupted; {kept}: the same command goes on") from None
        raise


def _plan_of(folder: Path) -> Any:
    return json.loads((folder / PLAN).read_text(encoding="utf-8")) if (folder / PLAN).exists() else None


def batch_of(columns: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    """Columns in the order of a schema, those that are lacking all missing values."""
    rows = len(columns[ID])
    arrays: Sequence[Any] = [columns.get(field.name, pa.nulls(rows, field.type)) for field in schema]
    return pa.table(list(arrays), schema=schema)
