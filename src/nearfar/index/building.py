"""An index that grows document by document beside its place, and takes it when it is whole."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa

from nearfar.core.artifact import check_place, put, write_json
from nearfar.core.disk import disk_told
from nearfar.index.canaries import Canaries
from nearfar.index.config import IndexConfig
from nearfar.index.generation import GENERATIONS, TABLE, WORDS, Parts, cells_of, check_finite, meta_of, seal
from nearfar.index.lexicon import Lexicon
from nearfar.index.lock import alone
from nearfar.index.table import DOCUMENT, ID, TEXT, VECTOR, Table, numbers

PLAN = "plan.json"  # what an unfinished index is to become


class Building:
    """An unfinished index, which goes on where it stopped."""

    def __init__(self, target: Path, folder: Path) -> None:
        self.target, self.folder = target, folder
        self._table: Any = lance.dataset(folder / TABLE) if (folder / TABLE).exists() else None

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

    def append(self, documents: pa.Table) -> None:
        """Add documents, which stay whatever happens then.

        Raises:
            BadInput: a vector is not finite.
        """
        check_finite([str(key) for key in documents[ID].to_pylist()], numbers(documents[VECTOR]))
        if self._table is None:
            self._table = lance.write_dataset(documents, str(self.folder / TABLE), enable_v2_manifest_paths=True)
        else:
            for name in documents.schema.names:
                if name not in self._table.schema.names:
                    self._table.add_columns(documents.schema.field(name))
            self._table.insert(documents)

    def finish(self, canaries: Canaries, config: IndexConfig, *, fingerprint: str, similarity: str) -> int:
        """Fit the codes, and put the index in its place in one step; how many documents it holds."""
        self._table.optimize.compact_files()
        self._table = lance.dataset(self._table.uri)
        self._table.cleanup_old_versions(older_than=timedelta(0), delete_unverified=True)
        table = Table.of(self._table)
        for left in (GENERATIONS, WORDS):  # by a process that was stopped
            shutil.rmtree(self.folder / left, ignore_errors=True)
        lexicon = Lexicon.begin(self.folder, "1", table.values(TEXT))
        Parts(cells_of(table, config), lexicon, canaries).save(self.folder / GENERATIONS / "1", fingerprint)
        meta = meta_of((len(table), table.dimension), fingerprint=fingerprint, similarity=similarity, config=config,
                       version=table.version)  # fmt: skip
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
    target = Path(os.path.realpath(path))
    folder = target.parent / f".{target.name}.building"
    with disk_told(path, path, folder):
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder, path):
            if _plan_of(folder) != dict(plan):
                for inside in folder.iterdir():
                    if inside.is_dir():
                        shutil.rmtree(inside)
                write_json(folder / PLAN, plan)
            yield Building(target, folder)
        shutil.rmtree(folder, ignore_errors=True)  # what was in the place before


def _plan_of(folder: Path) -> Any:
    return json.loads((folder / PLAN).read_text(encoding="utf-8")) if (folder / PLAN).exists() else None


def batch_of(columns: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    """Columns in the order of a schema, those that are lacking all missing values."""
    rows = len(columns[ID])
    arrays: Sequence[Any] = [columns.get(field.name, pa.nulls(rows, field.type)) for field in schema]
    return pa.table(list(arrays), schema=schema)
