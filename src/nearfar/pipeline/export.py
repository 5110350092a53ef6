"""`export`: a run's codes for another store, which is shown to score them as we do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearfar.compress.codec import Codec
from nearfar.core.config import nearest
from nearfar.core.errors import BadInput, excerpt
from nearfar.index.codes import open_codes_of
from nearfar.index.export_bits import check_bits, write_bits
from nearfar.index.export_check import KIND, Agreement, Leaving
from nearfar.index.export_faiss import check_faiss, write_faiss
from nearfar.index.export_lance import check_lance, write_lance
from nearfar.pipeline.coding import Bench
from nearfar.pipeline.evaluate import tasks_of, texts_of
from nearfar.pipeline.place import check_made
from nearfar.pipeline.progress import Reporter, Silent

MOST_QUERIES = 500  # by which a copy is checked


@dataclass(frozen=True)
class Store:
    """Where codes can go."""

    check: Callable[[str, Codec], object]  # raises for a codec that it cannot hold, by its name
    write: Callable[..., Agreement]


STORES = {
    "faiss": Store(check_faiss, write_faiss),
    "lance": Store(check_lance, write_lance),
    "pgvector": Store(check_bits, write_bits),
}


@dataclass(frozen=True)
class Exported:
    """What was written, and how near its scores are to ours."""

    path: str
    to: str
    codec: str
    size_bytes: int
    documents: int
    queries: int  # it was checked with
    worst: float  # largest difference of a score, as a part of the largest score
    overlap: float  # share of the ten best that are so by our scores
    fingerprint: str  # of the model whose queries it takes


def export(
    run: str | Path,
    to: str,
    *,
    size_bytes: int,
    out: str | Path,
    data: Any = None,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> Exported:
    """Write the codes of a run's documents for "faiss", "lance" or "pgvector", checked by its test queries.

    Args:
        size_bytes: of the codes, which `compress` made.
        data: queries to check with, as `fit` takes them; left out: the run's own.

    Raises:
        BadInput: there are no such codes or no queries, the store cannot hold them, `out` exists, or a score differs.
        MissingExtra: the store's package is not installed.
    """
    if to not in STORES:
        raise BadInput.at("--to", expected="a store", found=excerpt(to), do=nearest(to, list(STORES)))
    run, out = Path(run), Path(out)
    check_made(out, KIND, "an export", overwrite=overwrite)
    coded = open_codes_of(run / "index", size_bytes)
    STORES[to].check(coded.name, coded.codec)
    bench = Bench.open(run, data, reporter or Silent())
    facts = {"codec": coded.name, "bytes": size_bytes, "documents": len(coded.codes), "fingerprint": coded.fingerprint,
             "similarity": bench.index.similarity}  # fmt: skip
    leaving = Leaving(
        coded.name, coded.codec, coded.codes, bench.index.ids, _queries(bench), bench.index.vectors, facts
    )
    found = STORES[to].write(out, leaving, overwrite=overwrite)
    return Exported(str(out), to, coded.name, size_bytes, len(coded.codes), found.queries, found.worst,
                    found.overlap, coded.fingerprint)  # fmt: skip


def _queries(bench: Bench) -> Any:
    """Vectors (Q, d) of test queries, or of dev queries where there are none."""
    held = bench.dataset.splits
    rows = bench.judged("test" if "test" in held and len(held["test"].relevant) else "dev").queries[:MOST_QUERIES]
    texts, tasks = (of(bench.dataset.queries, rows) for of in (texts_of, tasks_of))
    return bench.space.vectors(texts, "query", "encoding queries", tasks)
