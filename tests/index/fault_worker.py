"""Changes of an index, each in a process of its own in which something goes wrong at a chosen moment.

A moment is a call of the system that changes the disk, by Python or by Lance: `disk_faults.c` is preloaded, counts
them, and kills the process there or lets the call fail. This process imports everything once, and forks for each job.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from nearfar.core.errors import NearfarError
from nearfar.index.building import building
from nearfar.index.canaries import TEXTS, Canaries
from nearfar.index.config import IndexConfig
from nearfar.index.location import Location
from nearfar.index.settings import Settings
from nearfar.index.table import column_of, schema_of
from nearfar.index.writer import changing, collect

D, DOCUMENTS = 16, 450
CONFIG = IndexConfig(size_bytes=4, exact_below=300, documents_per_cell=20, scanned=10**6, candidates=10**6)
AT_URL = "NEARFAR_FAULTS_AT_URL"  # in the environment: tables lie at URLs
PLAN = {"source": "documents.jsonl", "fingerprint": "f"}


def vectors(count: int, seed: int) -> Any:
    return np.random.default_rng(seed).standard_normal((count, D), np.float32)


def batch(numbers: Sequence[int], seed: int, *, prices: bool = False) -> pa.Table:
    """Documents of these numbers, in another form for each seed."""
    ids, texts = [f"d{i}" for i in numbers], [f"text {i} of edition {seed}" for i in numbers]
    fields = [pa.field("price", pa.int64())] if prices else []
    columns = [pa.array(ids), pa.array(texts), *([pa.array(list(numbers))] if prices else [])]
    return pa.table([*columns, column_of(vectors(len(ids), seed))], schema=schema_of(D, fields))


def table_of(path: Path) -> Location | None:
    """Where the table of an index lies: at a URL beside it where that is asked for, or in its folder."""
    return Location.at(f"file://{path.parent}/table") if os.environ.get(AT_URL) else None


def build(path: Path, seed: int = 0, config: IndexConfig = CONFIG) -> None:
    """Build the documents that are not there yet, a third at a time."""
    with building(path, PLAN | {"seed": seed}, table_of(path)) as unfinished:
        whole = batch(range(DOCUMENTS), seed)
        for start in range(len(unfinished), DOCUMENTS, DOCUMENTS // 3):
            unfinished.append(whole.slice(start, DOCUMENTS // 3))
        unfinished.finish(Canaries(TEXTS, vectors(len(TEXTS), seed)), config, fingerprint="f", similarity="dot")


def add(path: Path) -> None:
    with changing(path) as writer:
        writer.put(batch(range(440, 480), 5))
        writer.put(batch(range(480, 500), 6, prices=True))


def update(path: Path) -> None:
    with changing(path) as writer:
        writer.put(batch(range(100, 130), 7))


def delete(path: Path) -> None:
    with changing(path) as writer:
        writer.delete([f"d{i}" for i in range(0, 300, 5)])


def compact(path: Path) -> None:
    with changing(path) as writer:
        writer.compact()


OPERATIONS: dict[str, Callable[[Path], Any]] = {
    "build": build,
    "build over": lambda path: build(path, 9),
    "add": add,
    "update": update,
    "delete": delete,
    "compact": compact,
    "gc": collect,
}


def start(path: Path, config: IndexConfig = CONFIG) -> None:
    """An index with several files, deletions, an earlier generation and settings."""
    build(path, config=config)
    with changing(path) as writer:
        writer.put(batch(range(400, 460), 1))
    with changing(path) as writer:
        writer.delete([f"d{i}" for i in range(7, 60)])
    Settings(weight=0.4).save(path)


def serve(library: str) -> None:
    """Fork for each job that comes in a line, and say in a line how it ended."""
    faults = ctypes.CDLL(library)
    faults.disk_faults_met.restype = ctypes.c_char_p
    os.environ.pop("LD_PRELOAD")
    _say("ready")
    for line in sys.stdin:
        job, begun = json.loads(line), time.monotonic()
        read, write = os.pipe()
        if not (process := os.fork()):
            _work(job, faults, write)
        os.close(write)
        if job["after_s"] is not None:
            time.sleep(job["after_s"])
            os.kill(process, signal.SIGKILL)
        with os.fdopen(read) as said:
            outcome = {"line": "", "moments": [], **json.loads(said.read() or "{}")}
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        _say(json.dumps({**outcome, "status": status, "seconds": time.monotonic() - begun}))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _work(job: Mapping[str, Any], faults: ctypes.CDLL, write: int) -> None:
    path, code, said = Path(job["path"]), 0, ""
    try:
        faults.disk_faults(os.fsencode(path.parent), ctypes.c_long(job["at"]), job["error"])
        OPERATIONS[job["operation"]](path)
    except NearfarError as error:
        code, said = error.exit_code, str(error)
    except BaseException:
        code, said = 70, traceback.format_exc()
    moments = faults.disk_faults_met().decode().splitlines()
    os.write(write, json.dumps({"line": said, "moments": moments if not job["at"] else []}).encode())
    os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])
