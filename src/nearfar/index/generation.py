"""What an index answers with: one version of its table on disk, codes in memory, and the manifest that names both.

The folder's manifest is the pointer: it lists every file of one generation with its checksum, and is replaced in one
step, so that a reader sees the old generation or the new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nearfar.core.artifact import MANIFEST, identity, read_whole, write_manifest, writing
from nearfar.core.errors import BadInput
from nearfar.core.facts import check_facts
from nearfar.core.plain_file import understood
from nearfar.index.canaries import Canaries
from nearfar.index.cells import Cells, Coder, Mask
from nearfar.index.config import IndexConfig
from nearfar.index.exact import Vectors, check_space, highest, top_k
from nearfar.index.filters import compiled
from nearfar.index.lexicon import Lexicon
from nearfar.index.location import TABLE, Location, Storage
from nearfar.index.lock import LOCK
from nearfar.index.settings import Settings
from nearfar.index.table import DOCUMENT, ID, TEXT, VECTOR, Table, column_of, schema_of

KIND, WRITE_ROWS, PAD = "index", 1 << 14, -1
GENERATIONS, CELLS, WORDS = "generations", "cells", "words"
HINT = "_versions/latest_version_hint.json"  # Lance's


@dataclass(frozen=True)
class Generation:
    """An index as it was at one moment."""

    path: Path
    number: int
    fingerprint: str
    similarity: str
    location: Location
    table: Table
    config: IndexConfig
    cells: Cells | None  # None: few documents, or none
    lexicon: Lexicon
    canaries: Canaries | None
    settings: Settings = Settings()  # noqa: RUF009 -- frozen
    sparse: str = ""  # fingerprint of the sparse encoder whose weights take the place of BM25's; empty: none

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Id of each document, row by row."""
        return tuple(self.table.values(ID))

    @cached_property
    def documents(self) -> tuple[str, ...]:
        """Id of the document that each row is, or is a passage of."""
        return tuple(self.table.values(DOCUMENT)) if self.table.has_passages else self.ids

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Text of each document, row by row."""
        return tuple(self.table.values(TEXT))

    @cached_property
    def vectors(self) -> Vectors:
        """Vectors of all documents, (n, d), in memory."""
        return self.table.all_vectors()

    def __len__(self) -> int:
        return len(self.table)

    def allowed(self, expression: str) -> Mask:
        """Whether each document fulfils a filter, (n,).

        Raises:
            BadInput: the filter cannot be read; the place in it is named.
        """
        mask = np.zeros(len(self), np.bool_)
        mask[self.table.rows_where(compiled(expression, self.table.dataset.schema))] = True
        return mask

    @property
    def count(self) -> int:
        """How many documents it holds, fewer than its rows where these are passages."""
        return self.table.documents

    @property
    def bytes_in_memory(self) -> int:
        """Bytes that a search holds: codes, and where each document lies; or the vectors of few documents."""
        held = len(self) * self.table.dimension * 4 if self.cells is None else self.cells.nbytes
        return self.table.places.nbytes + held

    def search(
        self, queries: Vectors, k: int, fingerprint: str, allowed: Mask | None = None
    ) -> tuple[NDArray[np.int32], Vectors]:
        """Rows and exact scores of the k best documents of each query (Q, d), both (Q, k), best first.

        Few documents are all compared; of many, the codes choose the candidates, whose vectors are read from the disk
        (candidates by codes, ranks by vectors: BiDR, Xiao et al., 2022).

        Args:
            allowed: (n,) documents that may be found. Where they are fewer than k, the places left over hold row −1 and
                score −inf.

        Raises:
            FingerprintMismatch: the queries come from another embedding space.
            DimensionMismatch: the queries have another d.
        """
        check_space(self.fingerprint, fingerprint)
        if self.cells is None:
            rows = None if allowed is None else np.flatnonzero(allowed)
            found, scores = top_k(queries, self.vectors if rows is None else self.vectors[rows], k)
            return _padded(found if rows is None else rows[found].astype(np.int32), scores, min(k, len(self)))
        return self._of_candidates(self.cells, queries, min(k, len(self)), allowed)

    def _of_candidates(
        self, cells: Cells, queries: Vectors, k: int, allowed: Mask | None
    ) -> tuple[NDArray[np.int32], Vectors]:
        rows, scores = np.full((len(queries), k), PAD, np.int32), np.full((len(queries), k), -np.inf, np.float32)
        for number, query in enumerate(queries):
            chosen = cells.candidates(query, max(k, self.config.candidates), max(k, self.config.scanned), allowed)
            order, values = highest((self.table.vectors(chosen) @ query)[None], k)
            rows[number, : len(order[0])] = chosen[order[0]]
            scores[number, : len(order[0])] = values[0]
        return rows, scores


@dataclass(frozen=True)
class Documents:
    """What an index is made of, row by row."""

    ids: Sequence[str]
    texts: Sequence[str]
    vectors: Vectors  # (D, d)
    canaries: Canaries | None = None  # of the same model
    metadata: Mapping[str, Any] = field(default_factory=dict)  # further columns, (D,) each


def write_index(
    path: Path,
    documents: Documents,
    *,
    fingerprint: str,
    similarity: str,
    config: IndexConfig | None = None,
    overwrite: bool = False,
) -> None:
    """Write an index folder.

    Raises:
        BadInput: a vector is not finite (its id is named), or the folder exists, or the disk is full.
    """
    check_finite(documents.ids, documents.vectors)
    config = config or IndexConfig()
    meta = meta_of(documents.vectors.shape, fingerprint=fingerprint, similarity=similarity, config=config)
    with writing(path, KIND, meta, overwrite=overwrite) as folder:
        schema = schema_of(documents.vectors.shape[1], [pa.field(name, column.type) for name, column
                                                        in documents.metadata.items()])  # fmt: skip
        batches = (_batch(documents, slice(start, start + WRITE_ROWS), schema)
                   for start in range(0, len(documents.ids), WRITE_ROWS))  # fmt: skip
        dataset = lance.write_dataset(pa.RecordBatchReader.from_batches(schema, batches), str(folder / TABLE),
                                      enable_v2_manifest_paths=True)  # fmt: skip
        (folder / TABLE / HINT).unlink()  # it changes with every version, and nothing reads it that knows its version
        table = Table.of(dataset)
        cells, lexicon = cells_of(table, config), Lexicon.begin(folder, "1", table)
        Parts(cells, lexicon, documents.canaries).save(folder / GENERATIONS / "1", fingerprint)


def meta_of(
    shape: tuple[int, ...], *, fingerprint: str, similarity: str, config: IndexConfig, number: int = 1,
    version: int = 1, sparse: str = "",
) -> dict[str, Any]:  # fmt: skip
    """What the manifest says of a generation."""
    documents, dimension = shape
    return {"fingerprint": fingerprint, "similarity": similarity, "documents": documents, "dimension": dimension,
            "generation": number, "version": version, "config": config.model_dump(), "sparse": sparse}  # fmt: skip


def check_finite(ids: Sequence[str], vectors: Vectors) -> None:
    """Refuse vectors (n, d) that no score can be made of.

    Raises:
        BadInput: one is not finite; its id is named.
    """
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise BadInput.at(f"document '{ids[bad[0]]}'", expected="a finite vector", found="NaN or infinity",
                          do="check the model")  # fmt: skip


def cells_of(table: Table, config: IndexConfig) -> Cells | None:
    """Fit cells and codes to a table's documents; None where there are too few to need any."""
    if len(table) < max(1, config.exact_below):
        return None
    coder = Coder.fit(table.vectors, len(table), config)
    return coder.cells(table.blocks(), len(table))


@dataclass(frozen=True)
class Parts:
    """What belongs to a generation beside its table."""

    cells: Cells | None
    lexicon: Lexicon
    canaries: Canaries | None

    def save(self, folder: Path, fingerprint: str) -> None:
        """Write them into a new folder."""
        folder.mkdir(parents=True)
        if self.cells is not None:
            self.cells.save(folder / CELLS, fingerprint)
        self.lexicon.save(folder / WORDS)
        if self.canaries is not None:
            self.canaries.save(folder)


def seal(path: Path, table: Table, location: Location, lexicon: Lexicon, meta: Mapping[str, Any]) -> None:
    """Make the generation of a number that has been written visible, in one step."""
    own, names = path / GENERATIONS / str(meta["generation"]), table.names()
    files = [*lexicon.files(path), *(file for file in own.rglob("*") if file.is_file())]
    if location.remote:
        sizes = location.sizes(table.version)
        there = {"url": location.uri, "files": {name: sizes[name] for name in sorted(names)}}
        return write_manifest(path, KIND, {**meta, "table": there}, files)
    return write_manifest(path, KIND, meta, [*(path / TABLE / name for name in names), *files])


def leave_only(path: Path, files: Iterable[Path]) -> None:
    """Remove everything below an index folder but these files, its manifest and its lock."""
    kept = {path / MANIFEST, path / LOCK, *files}
    for inside in sorted(path.rglob("*"), reverse=True):  # what a folder holds before the folder
        if not inside.is_dir() and inside not in kept:
            inside.unlink()
        elif inside.is_dir() and not any(inside.iterdir()):
            inside.rmdir()


def open_index(path: Path, storage: Storage | None = None) -> Generation:
    """Open an index folder; every file of it is checked before, of a table at a URL the sizes alone.

    Args:
        storage: what opens object storage, in addition to the environment.

    Raises:
        BadInput: there is none, or it is damaged, or an earlier version wrote it, or the table cannot be reached.
    """
    while True:
        seen = identity(path, KIND)
        try:
            manifest = read_whole(path, KIND)
            with understood(path):
                found = _opened(path, manifest["meta"], storage)
            if all((path / name).exists() for name in manifest["files"]):  # none ever changes, or comes again
                return found
        except (BadInput, OSError):
            if identity(path, KIND) == seen:
                raise
        # other generations have been made visible, and this one was removed while it was opened


def _opened(path: Path, meta: Mapping[str, Any], storage: Storage | None) -> Generation:
    if "generation" not in meta:
        raise BadInput.at(path, expected="an index of this version of nearfar", found="one of an earlier version",
                          do="build it again: nearfar index build")  # fmt: skip
    check_facts(path, meta, {"generation": int, "version": int, "fingerprint": str, "similarity": str})
    own, fingerprint = path / GENERATIONS / str(meta["generation"]), meta["fingerprint"]
    config = IndexConfig.parse(meta["config"], str(path))
    location, sparse = Location.of(path, meta, storage), str(meta.get("sparse", ""))
    table = Table.open(location, meta["version"])
    if location.remote:
        location.check(meta["version"], meta["table"]["files"])
    cells = Cells.load(own / CELLS, config.codec, fingerprint, table.shape) if (own / CELLS).exists() else None
    lexicon = Lexicon.load(own / WORDS, path, len(table), learned=bool(sparse))
    return Generation(path, meta["generation"], fingerprint, meta["similarity"], location, table, config, cells,
                      lexicon, Canaries.load(own), Settings.load(path), sparse)  # fmt: skip


def _batch(documents: Documents, part: slice, schema: pa.Schema) -> pa.RecordBatch:
    columns = {ID: pa.array(documents.ids[part], pa.string()), TEXT: pa.array(documents.texts[part], pa.string()),
               VECTOR: column_of(documents.vectors[part]),
               **{name: column[part] for name, column in documents.metadata.items()}}  # fmt: skip
    return pa.record_batch([columns[name] for name in schema.names], schema=schema)


def _padded(rows: NDArray[np.int32], scores: Vectors, k: int) -> tuple[NDArray[np.int32], Vectors]:
    """Rows and scores (Q, k), with row −1 and score −inf where there were fewer."""
    missing = k - rows.shape[1]
    if missing <= 0:
        return rows, scores
    return (np.pad(rows, ((0, 0), (0, missing)), constant_values=PAD),
            np.pad(scores, ((0, 0), (0, missing)), constant_values=-np.inf))  # fmt: skip
