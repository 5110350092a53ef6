"""Qdrant within the process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from corpus import Corpus, K, Vectors
from qdrant_edge import (
    Distance,
    EdgeConfig,
    EdgeShard,
    EdgeVectorParams,
    FieldCondition,
    Filter,
    HnswIndexConfig,
    PayloadSchemaType,
    Point,
    Query,
    RangeFloat,
    SearchParams,
    SearchRequest,
    UpdateOperation,
)
from sides import Effort, Opened

BATCH = 2000


class Qdrant:
    """A graph of neighbours that knows the filter."""

    default = None
    filtered = True
    served = False
    note = "vectors and the graph mapped into memory"
    efforts: Sequence[Effort] = [{"hnsw_ef": size} for size in (16, 32, 64, 128, 256, 512)]

    def build(self, corpus: Corpus, folder: Path) -> None:
        """Write the shard."""
        (folder / "shard").mkdir()
        graph = HnswIndexConfig(m=16, ef_construct=100, full_scan_threshold=10_000, max_indexing_threads=2)
        vectors = EdgeVectorParams(size=corpus.vectors.shape[1], distance=Distance.Dot)
        shard = EdgeShard.create(str(folder / "shard"), EdgeConfig(vectors=vectors, hnsw_config=graph))
        ranks = corpus.ranks.tolist()
        for start in range(0, corpus.count, BATCH):
            rows = range(start, min(start + BATCH, corpus.count))
            shard.update(UpdateOperation.upsert_points([
                Point(row, vector, {"rank": ranks[row]})
                for row, vector in zip(rows, corpus.vectors[rows.start : rows.stop].tolist(), strict=True)
            ]))  # fmt: skip
        shard.update(UpdateOperation.create_field_index("rank", PayloadSchemaType.Integer))
        shard.optimize()
        shard.close()

    def open(self, corpus: Corpus, folder: Path) -> Opened:  # noqa: ARG002
        """Open it."""
        shard = EdgeShard.load(str(folder / "shard"))

        def ask(query: Vectors, effort: Effort, below: int | None) -> Sequence[int]:
            condition = None if below is None else Filter(must=[FieldCondition("rank", range=RangeFloat(lt=below))])
            request = SearchRequest(query=Query.Nearest(query.tolist()), limit=K, filter=condition,
                                    params=SearchParams(**effort))  # fmt: skip
            return [int(point.id) for point in shard.search(request)]

        return Opened(ask)
