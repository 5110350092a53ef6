"""nearfar's own side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from corpus import Corpus, K, Vectors
from sides import Effort, Opened

from nearfar.index.config import IndexConfig
from nearfar.index.generation import Documents, open_index, write_index

FINGERPRINT = "benchmark"
RANK = "rank"


class Ours:
    """Codes in memory, vectors on disk."""

    filtered = True
    served = False
    note = "codes in memory, vectors in the Lance table on disk"
    efforts: Sequence[Effort] = [
        {"scanned": scanned, "candidates": candidates}
        for scanned in (30_000, 60_000, 100_000, 200_000, 300_000)
        for candidates in (100, 200, 300, 400)
    ]

    def __init__(self, **settings: Any) -> None:
        self.config = IndexConfig(**settings)
        self.default: Effort | None = {name: getattr(self.config, name) for name in ("scanned", "candidates")}

    def build(self, corpus: Corpus, folder: Path) -> None:
        """Write an index."""
        documents = Documents([f"p{row}" for row in range(corpus.count)], corpus.texts(), corpus.vectors,
                              metadata={RANK: pa.array(corpus.ranks)})  # fmt: skip
        write_index(folder / "index", documents, fingerprint=FINGERPRINT, similarity="cosine", config=self.config)

    def open(self, corpus: Corpus, folder: Path) -> Opened:
        """Open it; a mask of a filter is made once."""
        index = open_index(folder / "index")
        masks: dict[int, np.ndarray[Any, np.dtype[np.bool_]]] = {}

        def mask(below: int | None) -> Any:
            if below is None:
                return None
            if below not in masks:
                masks[below] = np.zeros(corpus.count, np.bool_)
                masks[below][index.table.rows_where(f"{RANK} < {below}")] = True
            return masks[below]

        def ask(query: Vectors, effort: Effort, below: int | None) -> Sequence[int]:
            asked = replace(index, config=index.config.model_copy(update=dict(effort)))
            rows: list[int] = asked.search(query[None], K, FINGERPRINT, mask(below))[0][0].tolist()
            return rows

        return Opened(ask, index.bytes_in_memory)


def added(folder: Path, corpus: Corpus, count: int) -> Mapping[str, float]:
    """Seconds to add so many documents to an index, and to open it before and after."""
    import shutil

    from measure import timed
    from nearfar.index.table import ID, TEXT, VECTOR, column_of
    from nearfar.index.writer import changing

    path = folder / "changed"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(folder / "index", path)
    opening, before = timed(lambda: open_index(path))
    random = np.random.default_rng(1)
    vectors = corpus.vectors[random.choice(corpus.count, count, replace=False)]
    vectors = vectors + random.standard_normal(vectors.shape, np.float32) * np.float32(0.02)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    columns = {ID: [f"new{i}" for i in range(count)], TEXT: ["new"] * count, RANK: np.arange(count, dtype=np.int32)}
    arrays = {**{name: pa.array(values) for name, values in columns.items()}, VECTOR: column_of(vectors)}
    schema = before.table.dataset.schema
    batch = pa.table([arrays[name] for name in schema.names], schema=schema)

    def add() -> None:
        with changing(path) as writer:
            writer.put(batch)

    adding, _ = timed(add)
    reopening, after = timed(lambda: open_index(path))
    found = after.search(vectors[:100], 1, FINGERPRINT)[0][:, 0]
    shutil.rmtree(path)
    return {"documents": count, "seconds": adding, "open_seconds": opening, "open_after_seconds": reopening,
            "new_found_first": float((found >= corpus.count).mean())}  # fmt: skip
