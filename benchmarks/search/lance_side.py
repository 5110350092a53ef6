"""Lance's own index of vectors, which is LanceDB's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import lance
import pyarrow as pa
from corpus import Corpus, K, Vectors
from sides import Effort, Opened

from nearfar.index.table import column_of

BLOCK = 1 << 14
GROUPS = 48  # of 8 bits


class LanceIvfPq:
    """Inverted lists of product codes, ranked again by vectors on disk."""

    default = None
    filtered = True
    served = False
    note = "codes in a cache, vectors on disk; it reads with threads of its own"
    efforts: Sequence[Effort] = [
        {"probes": probes, "refine_factor": factor} for probes in (16, 64, 128, 256) for factor in (10, 20, 40)
    ]

    def build(self, corpus: Corpus, folder: Path) -> None:
        """Write the table and its indexes."""
        schema = pa.schema([("rank", pa.int32()), ("vector", pa.list_(pa.float32(), corpus.vectors.shape[1]))])
        ranks = corpus.ranks
        batches = (pa.record_batch([pa.array(ranks[start : start + BLOCK]),
                                    column_of(corpus.vectors[start : start + BLOCK])], schema=schema)
                   for start in range(0, corpus.count, BLOCK))  # fmt: skip
        reader = pa.RecordBatchReader.from_batches(schema, batches)
        table = lance.write_dataset(reader, str(folder / "t.lance"), max_rows_per_file=corpus.count)
        table = table.create_index("vector", "IVF_PQ", metric="cosine", num_partitions=max(16, corpus.count // 1000),
                                   num_sub_vectors=GROUPS)  # fmt: skip
        table.create_scalar_index("rank", "BTREE")

    def open(self, corpus: Corpus, folder: Path) -> Opened:  # noqa: ARG002
        """Open the table; with one file, a row's id is its place."""
        table = lance.dataset(str(folder / "t.lance"))

        def ask(query: Vectors, effort: Effort, below: int | None) -> Sequence[int]:
            probes = {"minimum_nprobes": effort["probes"]} if below else {"nprobes": effort["probes"]}
            nearest = {"column": "vector", "q": query, "k": K, "refine_factor": effort["refine_factor"], **probes}
            found = table.to_table(columns=["_distance"], nearest=nearest, with_row_id=True, prefilter=True,
                                   filter=None if below is None else f"rank < {below}")  # fmt: skip
            rows: list[int] = found["_rowid"].to_pylist()
            return rows

        indexes = (folder / "t.lance" / "_indices").rglob("*")
        return Opened(ask, sum(file.stat().st_size for file in indexes))
