"""One side in a process of its own: builds its index, or is asked; ends with a JSON line."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package

import faiss
import numpy as np
from corpus import ASKED, SHARES, TRULY, Corpus, K, Rows
from sides import Ask, Effort, Side, side_of

import measure
from measure import resident, timed

WARM_UP = 50
WANTED = 0.95  # recall@10
COLD = 100  # queries before each of which the files are dropped from the page cache


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=["build", "search", "add"])
    parser.add_argument("name")
    parser.add_argument("pieces", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--asked", type=int, default=ASKED)
    options = parser.parse_args()
    corpus = Corpus(options.pieces, options.count)
    tasks = {"build": build, "search": search, "add": add}
    load = os.getloadavg()[0]
    measure.finish({**tasks[options.task](options, corpus), "load": [load, os.getloadavg()[0]]}, None)


def build(options: argparse.Namespace, corpus: Corpus) -> dict[str, Any]:
    """Seconds and memory of a build, and bytes on disk."""
    side, before = side_of(options.name), resident("VmRSS")
    seconds, _ = timed(lambda: side.build(corpus, options.folder))
    written = sum(file.stat().st_size for file in options.folder.rglob("*") if file.is_file())
    return {"seconds": seconds, "peak_gib": resident("VmHWM") / measure.GIB, "disk_bytes": written,
            "before_gib": before / measure.GIB}  # fmt: skip


def search(options: argparse.Namespace, corpus: Corpus) -> dict[str, Any]:
    """Recall and latency of every effort, of the best one under filters and without a page cache, and memory."""
    faiss.omp_set_num_threads(1)
    side, queries = side_of(options.name), corpus.queries[: options.asked]
    before = {kind: resident(kind) for kind in ("RssAnon", "RssFile")}
    opening, opened = timed(lambda: side.open(corpus, options.folder))
    found = [asked(opened.ask, queries, effort) for effort in side.efforts]
    after = {kind: resident(kind) for kind in before}
    rows = [{"effort": dict(effort), **seen(side, times), **corpus.scored(rows)}
            for effort, (rows, times) in zip(side.efforts, found, strict=True)]  # fmt: skip
    best = side.default or best_of(rows)["effort"]
    filters = [seen(side, filtered(opened.ask, corpus, best, share)) for share in SHARES] if side.filtered else []
    grown = {kind: (after[kind] - before[kind]) / corpus.count for kind in before}
    return {"note": side.note, "open_seconds": opening, "bytes": opened.bytes and opened.bytes / corpus.count,
            "grown": grown, "efforts": rows, "best": best, "filtered": filters,
            "cold": cold(opened.ask, queries, best, options.folder)}  # fmt: skip


def seen(side: Side, figures: dict[str, Any]) -> dict[str, Any]:
    """Figures without the work of this process where it does none."""
    return {name: value for name, value in figures.items() if not (side.served and name.startswith("work"))}


def best_of(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The fastest effort with the recall that is wanted, else the one with the highest."""
    good = [row for row in rows if row["recall@10"] >= WANTED]
    return min(good, key=lambda row: row["p50_ms"]) if good else max(rows, key=lambda row: row["recall@10"])


def asked(ask: Ask, queries: np.ndarray[Any, Any], effort: Effort, below: int | None = None) -> tuple[Rows, Any]:
    """Rows found (Q, k), and the milliseconds that half and 99 % of the queries took at most: by the clock, and of this
    process's work, which is what is left of them where nobody else is on the machine.
    """
    for query in queries[:WARM_UP]:
        ask(query, effort, below)
    rows, seconds = np.full((len(queries), K), -1, np.int64), np.empty((len(queries), 2))
    for number, query in enumerate(queries):
        start = time.perf_counter(), time.process_time()
        found = ask(query, effort, below)
        seconds[number] = time.perf_counter() - start[0], time.process_time() - start[1]
        rows[number, : len(found)] = found
    return rows, in_ms(seconds[:, 0]) | {f"work_{name}": value for name, value in in_ms(seconds[:, 1]).items()}


def in_ms(seconds: Sequence[float] | np.ndarray[Any, Any]) -> dict[str, float]:
    """Milliseconds that half and 99 % of the queries took at most."""
    return {"p50_ms": float(np.median(seconds) * 1e3), "p99_ms": float(np.percentile(seconds, 99) * 1e3)}


def filtered(ask: Ask, corpus: Corpus, effort: Effort, share: float) -> dict[str, Any]:
    """Recall, latency and empty places of a filtered search."""
    rows, times = asked(ask, corpus.queries[:TRULY], effort, corpus.below(share))
    return {"share": share, **times, **corpus.scored(rows, share)}


def cold(ask: Ask, queries: np.ndarray[Any, Any], effort: Effort, folder: Path) -> dict[str, float]:
    """Latency where nothing of the index's files is in the page cache; what is mapped into memory stays there."""
    seconds = []
    for query in queries[:COLD]:
        for file in (file for file in folder.rglob("*") if file.is_file()):
            with file.open("rb") as opened:
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        start = time.perf_counter()
        ask(query, effort, None)
        seconds.append(time.perf_counter() - start)
    return in_ms(seconds)


def add(options: argparse.Namespace, corpus: Corpus) -> dict[str, Any]:
    """What adding documents to our index takes."""
    from ours import added

    return dict(added(options.folder, corpus, min(10_000, corpus.count)))


if __name__ == "__main__":
    main()
