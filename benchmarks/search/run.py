"""Recall, latency, memory and filters of a search over a million real texts: nearfar and its peers, each tuned."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package

from figure import chosen, draw
from sides import ENTRIES, OURS

import measure
from data_sets import SHARED
from measure import say

SIDE = Path(__file__).with_name("side.py")
QUICK = {"texts": 30_000, "sizes": [30_000], "asked": 200, "builds": 60,
         "sides": [OURS, "faiss Flat", "faiss HNSW 16", "Lance IVF_PQ"]}  # fmt: skip
BUILD_THREADS, SEARCH_THREADS = "2", "1"


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--texts", type=int, default=1_000_000, help="that are made")
    parser.add_argument("--sizes", nargs="+", type=int, default=[1_000_000, 200_000], help="of what is indexed of them")
    parser.add_argument("--sides", nargs="+", default=list(ENTRIES), choices=list(ENTRIES), metavar="SIDE")
    parser.add_argument("--builds", type=int, default=900, help="seconds after which a build is given up")
    parser.add_argument("--asked", type=int, default=1000, help="queries")
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--work", type=Path, default=Path(__file__).parent / "scratch", help="of what is made, kept")
    parser.add_argument("--again", action="store_true", help="measure again what the result already has; builds stay")
    options = measure.options(parser, QUICK)
    allocator = measure.choose_allocator(plain=options.plain_allocator)
    sides: dict[str, Any] = measure.earlier(options.out, {"sides": {}})["sides"]
    for size in options.sizes:
        for name in options.sides:
            of_size = sides.setdefault(str(size), {})
            if name not in of_size or options.again:
                of_size[name] = measured(name, size, options)
                say(f"{size:,}, {name}: {in_words(of_size[name])}")
                if options.out:
                    measure.write({"sides": sides}, options.out)
    if options.out:
        draw(sides, options.out.with_suffix(".svg"))
    show(sides)
    measure.finish({**measure.facts(allocator), "sides": sides}, options.out)


def measured(name: str, size: int, options: argparse.Namespace) -> dict[str, Any]:
    """Build and search of one side, each in a process of its own."""
    from corpus import Corpus

    corpus = Corpus.made(options.work, options.data, options.texts, size)
    corpus.truth()
    folder = options.work / f"{name.replace(' ', '-').replace(',', '')}-{size}"
    given = [name, str(corpus.folder), str(size), str(folder)]
    try:
        built = built_of(folder, given, options.builds)
        found = launched("search", given, SEARCH_THREADS, ["--asked", str(options.asked)])
        more = {"added": launched("add", given, BUILD_THREADS)} if name == OURS else {}
    except subprocess.TimeoutExpired:
        shutil.rmtree(folder)
        return {"left_out": f"its build takes longer than {options.builds} s"}
    except subprocess.CalledProcessError as error:
        return {"left_out": error.stderr.strip().splitlines()[-1] if error.stderr else "it failed"}
    return {"build": built, **found, **more}


def built_of(folder: Path, given: Sequence[str], limit_s: float) -> dict[str, Any]:
    """What the build took, which an earlier run may have done."""
    facts = folder / "built.json"
    if not facts.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        facts.write_text(json.dumps(launched("build", given, BUILD_THREADS, limit_s=limit_s)))
    return dict(json.loads(facts.read_text()))


def launched(
    task: str, given: Sequence[str], threads: str, more: Sequence[str] = (), limit_s: float | None = None
) -> dict[str, Any]:
    """The JSON line of a side's process with so many threads."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LANCE_CPU_THREADS", "NUMBA_NUM_THREADS")
    # passive: threads that spin while they wait take the cores of a busy machine from those that work
    around = {**os.environ, **dict.fromkeys(names, threads), "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run([sys.executable, str(SIDE), task, *given, *more], capture_output=True, text=True, check=True,
                          timeout=limit_s, env=around)  # fmt: skip
    return dict(json.loads(done.stdout.splitlines()[-1]))


def in_words(side: Mapping[str, Any]) -> str:
    if "left_out" in side:
        return str(side["left_out"])
    row = chosen(side)
    return f"recall@10 {row['recall@10']:.3f}, p50 {row['p50_ms']:.2f} ms, p99 {row['p99_ms']:.2f} at {row['effort']}"


def show(sides: Mapping[str, Mapping[str, Any]]) -> None:
    """Show all sides as a table for each size."""
    for size, named in sides.items():
        rows = [{"side": name, "recall@10": f"{chosen(side)['recall@10']:.3f}", "p50 ms": chosen(side)["p50_ms"],
                 "p99 ms": chosen(side)["p99_ms"], "cold p50": side["cold"]["p50_ms"],
                 "bytes": side["bytes"] or sum(side["grown"].values()), "grown": side["grown"]["RssAnon"],
                 "build s": side["build"]["seconds"], "peak GiB": side["build"]["peak_gib"]}
                for name, side in named.items() if "left_out" not in side]  # fmt: skip
        if rows:
            measure.show(f"{int(size):,} documents", rows)


if __name__ == "__main__":
    main()
