"""Changes of an index that something goes wrong with, held against those left alone."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from fault_worker import CONFIG, OPERATIONS, start, vectors

from nearfar.core.artifact import MANIFEST, read_files, read_meta
from nearfar.core.errors import BadInput
from nearfar.index.config import IndexConfig
from nearfar.index.generation import KIND, Generation, open_index
from nearfar.index.lock import LOCK
from nearfar.index.settings import FOLDER as SETTINGS

HERE = Path(__file__).parent
TOLD = "expected a place to write to, found "
ERRORS = {"kill": 0, "ENOSPC": errno.ENOSPC, "EIO": errno.EIO}
KILLED = -signal.SIGKILL
REMOVES = ("unlink", "rmdir")


@dataclass(frozen=True)
class State:
    """What an index holds."""

    documents: Mapping[str, tuple[str, bytes]]  # id → text, vector
    columns: tuple[str, ...]

    @classmethod
    def of(cls, path: Path) -> State | None:
        """None where there is no index.

        Raises:
            AssertionError: its parts do not belong together.
        """
        if not path.exists():
            return None
        opened = open_index(path)
        coded = len(opened) if opened.cells is None else len(opened.cells)
        assert coded == len(opened) == len(set(opened.ids)) == opened.lexicon.size
        held = (vector.tobytes() for vector in opened.vectors)
        documents = dict(zip(opened.ids, zip(opened.texts, held, strict=True), strict=True))
        return cls(documents, tuple(opened.table.columns))


def parts(path: Path) -> dict[str, Any]:
    """Everything an index answers from, in its order."""
    opened = open_index(path)
    cells = opened.cells
    coded = [] if cells is None else [cells.coder.centroids, cells.rows, cells.codes]
    return {"ids": opened.ids, "texts": opened.texts, "vectors": opened.vectors.tobytes(),
            "codes": [part.tobytes() for part in coded],
            "words": [part.tobytes() for part in opened.lexicon.rows]}  # fmt: skip


def orphans(path: Path) -> list[str]:
    """Files of an index and beside it that no manifest names."""
    there = {file for file in path.parent.rglob("*") if file.is_file()}
    return sorted(str(file.relative_to(path.parent)) for file in there - named(path) - {path / LOCK})


def named(path: Path) -> set[Path]:
    """Files of an index that a manifest names, and the manifests: its own, and that of what judged queries taught."""
    settings = {path / SETTINGS / MANIFEST} if (path / SETTINGS).exists() else set()
    table = read_meta(path, KIND).get("table", {"url": "", "files": {}})
    there = {Path(table["url"].removeprefix("file://")) / name for name in table["files"]}
    return {path / MANIFEST, *(path / name for name in read_files(path, KIND))} | settings | there


@dataclass(frozen=True)
class Fault:
    """What goes wrong: at the moment of a number, from 1, or after some time."""

    what: str = ""
    at: int = 0
    after_s: float | None = None


class Worker:
    """A process that forks for each operation."""

    def __init__(self, library: Path) -> None:
        environment = {**os.environ, "LD_PRELOAD": str(library), "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(HERE / "fault_worker.py"), str(library)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self.process.stdout.readline() == "ready\n"

    def begin(self, operation: str, path: Path, fault: Fault = Fault()) -> None:
        job = {"operation": operation, "path": str(path), "at": fault.at, "error": ERRORS.get(fault.what, 0),
               "after_s": fault.after_s}  # fmt: skip
        self.process.stdin.write(f"{json.dumps(job)}\n")
        self.process.stdin.flush()

    @property
    def done(self) -> bool:
        return bool(select.select([self.process.stdout], [], [], 0)[0])

    def ended(self) -> dict[str, Any]:
        """Exit status, the line that was said, the moments, and seconds."""
        return json.loads(self.process.stdout.readline())

    def run(self, operation: str, path: Path, fault: Fault = Fault()) -> dict[str, Any]:
        self.begin(operation, path, fault)
        return self.ended()

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


@contextmanager
def worker(folder: Path) -> Iterator[Worker]:
    """A worker whose library is compiled into a folder."""
    library = folder / "disk_faults.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(HERE / "disk_faults.c")], check=True)
    found = Worker(library)
    try:
        yield found
    finally:
        found.close()


@dataclass
class World:
    """An index, and what each operation makes of it."""

    folder: Path
    worker: Worker
    answers: int = 0  # of open indexes while they were changed
    whole: dict[str, dict[str, Any]] = field(default_factory=dict)  # undisturbed operations: moments, seconds
    after: dict[str, State | None] = field(default_factory=dict)
    built: dict[str, dict[str, Any]] = field(default_factory=dict)
    before: State | None = None

    @classmethod
    def of(cls, folder: Path, own: Worker, operations: Sequence[str] = tuple(OPERATIONS),
           config: IndexConfig = CONFIG) -> World:  # fmt: skip
        world = cls(folder, own)
        (folder / "trial").mkdir()  # where it stays, as a table at a URL cannot be moved
        start(folder / "trial" / "index", config)
        world.before = State.of(folder / "trial" / "index")
        shutil.copytree(folder / "trial", folder / "start")
        for name in operations:
            path = world.fresh(name)
            world.whole[name] = world.worker.run(name, path)
            assert world.whole[name]["status"] == 0, world.whole[name]
            world.after[name] = State.of(path)
            world.built[name] = parts(path)
        return world

    def fresh(self, operation: str) -> Path:
        """A place with the index at the start, or none for a build."""
        place = self.folder / "trial"
        shutil.rmtree(place, ignore_errors=True)
        if operation == "build":
            place.mkdir()
        else:
            shutil.copytree(self.folder / "start", place)
        return place / "index"

    def trial(self, operation: str, fault: Fault) -> str:
        """Disturb an operation and go on; what is wrong then, nothing if all is well."""
        path = self.fresh(operation)
        opened = open_index(path) if path.exists() else None
        self.worker.begin(operation, path, fault)
        problems = list(self._answers(opened, operation)) if opened else []
        problems += self._ended(operation, path, self.worker.ended(), fault)
        return "; ".join(problems or self._goes_on(operation, path))

    def _answers(self, opened: Generation, operation: str) -> Iterator[str]:
        """Search an open index until the worker has ended."""
        expected = None if operation == "build over" else asked(opened)
        ended = False
        ended = False
        while not ended:
            ended = self.worker.done  # and once more after that
            if operation == "build over":
                opened = open_index(opened.path)
            yield from wrong(opened, expected)
            self.answers += 1

    def _ended(self, operation: str, path: Path, outcome: Mapping[str, Any], fault: Fault) -> Iterator[str]:
        before = None if operation == "build" else self.before
        try:
            now = State.of(path)
        except (BadInput, AssertionError) as error:
            yield f"cannot be opened: {error!r}"
            return
        visible = "the whole change" if now == self.after[operation] else "none" if now == before else "a part of it"
        expected = {0: ["the whole change"], KILLED: ["none", "the whole change"], 2: ["none"]}
        if now == before == self.after[operation]:
            visible = "none or the whole change"
        elif visible not in expected.get(outcome["status"], []):
            yield f"exit status {outcome['status']} {outcome['line']}, visible: {visible}"
        wanted = {KILLED, 0} if fault.after_s is not None else {KILLED} if fault.what == "kill" else {0, 2}
        if outcome["status"] not in wanted:
            yield f"exit status {outcome['status']}: {outcome['line']}"
        if outcome["status"] == 2 and not told(outcome["line"], path):
            yield f"told: {outcome['line']}"

    def _goes_on(self, operation: str, path: Path) -> Iterator[str]:
        if operation != "build" or not path.exists():
            again = self.worker.run(operation, path)
            if again["status"]:
                yield f"again: exit status {again['status']} {again['line']}"
                return
        if State.of(path) != self.after[operation]:
            yield "again: another index"
        if operation.startswith("build") and (bad := _differences(parts(path), self.built[operation])):
            yield f"again: other {bad}"
        collected = self.worker.run("gc", path)
        if collected["status"] or (left := orphans(path)):
            yield f"gc: exit status {collected['status']} {collected['line']}, left {left}"
        elif State.of(path) != self.after[operation]:
            yield "gc: another index"


def told(line: str, path: Path) -> bool:
    """Whether trouble with the disk is told in one line about the index."""
    return re.fullmatch(rf"{re.escape(str(path.parent))}/\S*: {TOLD}[^\n]+", line) is not None


def asked(opened: Generation) -> tuple[Any, Any]:
    return opened.search(vectors(2, 99), 10, "f")


def wrong(opened: Generation, expected: tuple[Any, Any] | None) -> list[str]:
    """What is wrong with the answers; an index that was replaced must be opened again."""
    try:
        found = asked(opened)
    except Exception as error:
        if expected is None and isinstance(error, BadInput) and "open the index again" in str(error):
            return []
        return [f"the open index: {error!r}"]
    same = expected is None or all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))
    return [] if same else ["the open index answers otherwise"]


def _differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    return ", ".join(name for name, value in expected.items() if found[name] != value)


def random_kills(world: World, operation: str, count: int, seed: int = 0) -> dict[str, str]:
    """Kills at times drawn evenly over the length of an operation."""
    draw = random.Random(f"{operation} {seed}")
    longest = 1.05 * world.whole[operation]["seconds"]
    times = [draw.uniform(0, longest) for _ in range(count)]
    return {f"{n} at {at:.4f} s": world.trial(operation, Fault(after_s=at)) for n, at in enumerate(times)}


def every_moment(world: World, operation: str, what: str, step: int = 1) -> dict[str, str]:
    """A fault at every moment of an operation, or every so many; what removes cannot fail."""
    moments = world.whole[operation]["moments"]
    able = [at for at, moment in enumerate(moments, 1) if what == "kill" or not moment.startswith(REMOVES)]
    return {f"{at} {moments[at - 1]}": world.trial(operation, Fault(what, at)) for at in able[::step]}
