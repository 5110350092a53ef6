"""How late does `/search` answer when many ask at the same time, over a hundred thousand documents?"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from time import sleep
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package

import numpy as np
from load import loaded, request

import measure
from pieces import different

PORT = 8351
QUICK = {"documents": 5_000, "seconds": 3.0, "repeats": 1}
LEAST = 0.03  # seconds, within which 99 of a hundred searches of 20 clients are to be answered
ASKED = 40_000  # questions, none twice: no cache answers


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--models", nargs="+", default=["minilm"], help="names or folders")
    parser.add_argument("--clients", nargs="+", type=int, default=[1, 20])
    parser.add_argument("--modes", nargs="+", default=["dense", "lexical", "hybrid"])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument(
        "--pause", nargs="+", type=float, default=[0.0, 0.1], help="seconds of a client before the next"
    )
    parser.add_argument("--work", type=Path, default=Path(__file__).parent / "scratch", help="of indexes, kept")
    options = measure.options(parser, QUICK)
    allocator = measure.choose_allocator(plain=options.plain_allocator)
    questions = texts_in(options.work, options.documents)
    rows = []
    for model in options.models:
        index = index_of(model, options.work, options.documents)
        with served(index, model) as port:
            sets = iter(np.array_split(np.array(questions, object), options.repeats * len(options.modes)
                                       * len(options.clients) * len(options.pause)))  # fmt: skip
            for _ in range(options.repeats):
                for mode in options.modes:
                    for clients in options.clients:
                        for pause in options.pause:
                            row = asyncio.run(asked(port, list(next(sets)), mode, clients, options.seconds, pause))
                            asked_so = {"mode": mode, "clients": clients, "pause_s": pause}
                            rows.append({"model": Path(model).name, **asked_so, **row})
                            print(rows[-1], flush=True)
    table = medians(rows)
    measure.show(f"Searches over {options.documents:,} documents", table)
    measure.finish({"rows": table, "documents": options.documents, **measure.facts(allocator)}, options.out)


async def asked(
    port: int, questions: list[str], mode: str, clients: int, seconds: float, pause: float
) -> dict[str, float]:
    """What clients get that ask one question after the other."""
    sent = [(request(port, "/search", json.dumps({"query": text, "mode": mode}).encode()), 1) for text in questions]
    await loaded(port, sent[-200:], clients, 0.5)
    found = await loaded(port, sent[:-200], clients, seconds, pause)
    return {**found.figures(), "others": sum(found.statuses.values()) - len(found.took)}


def texts_in(work: Path, documents: int) -> list[str]:
    """Questions: lines of other code than the documents, which are written to a folder."""
    texts = list(islice(different(documents + ASKED), documents + ASKED))
    drawn = np.random.default_rng(0).permutation(len(texts)).tolist()
    corpus = work / f"documents-{documents}.jsonl"
    if not corpus.exists():
        work.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps({"_id": f"d{row}", "text": texts[row]}) + "\n" for row in drawn[:documents]]
        corpus.write_text("".join(lines), encoding="utf-8")
    return list(dict.fromkeys(texts[row].partition("\n")[0] for row in drawn[documents:]))


NEARFAR = [sys.executable, "-m", "nearfar"]


def index_of(model: str, work: Path, documents: int) -> Path:
    """The index of a model, as `nearfar index build` makes it."""
    out = work / f"index-{Path(model).name}-{documents}"
    if not (out / "manifest.json").exists():
        shutil.rmtree(out, ignore_errors=True)
        measure.say(f"{out.name} is built")
        corpus = work / f"documents-{documents}.jsonl"
        options = ["--model", model, "--data", str(corpus), "--out", str(out)]
        subprocess.run([*NEARFAR, "index", "build", *options], check=True)
    return out


@contextmanager
def served(index: Path, model: str) -> Iterator[int]:
    """A service of the index, up to its end."""
    process = subprocess.Popen([*NEARFAR, "serve", str(index), "--model", model, "--port", str(PORT)])
    try:
        while not is_ready():
            if process.poll() is not None:
                raise SystemExit(f"the service ended: {process.returncode}")
            sleep(0.2)
        yield PORT
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def is_ready() -> bool:
    """Whether the service answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/readyz", timeout=5) as found:
            return bool(found.status == 200)
    except OSError:
        return False


def medians(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Over the repeats."""
    names = ("model", "mode", "clients", "pause_s")
    table = []
    for key in dict.fromkeys(tuple(row[name] for name in names) for row in rows):
        own = [row for row in rows if tuple(row[name] for name in names) == key]
        figures = {name: float(np.median([row[name] for row in own])) for name in
                   ("requests_per_s", "p50_ms", "p99_ms", "others")}  # fmt: skip
        table.append({**dict(zip(names, key, strict=True)), **figures, "within": figures["p99_ms"] <= 1000 * LEAST})
    return table


if __name__ == "__main__":
    main()
