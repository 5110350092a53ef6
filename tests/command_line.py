"""The command line called in this process, and as a process of its own."""

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from tiny_models import pairs

MAIN = [sys.executable, "-c", "from nearfar.cli.main import main; main()"]
SMALL = {
    "static.dimension": 32,
    "static.vocabulary": 400,
    "train.batch_size": 8,
    "train.epochs": 2,
    "train.precision": "fp32",
    "train.patience": 9,
    "eval.dev_documents": 50,
}


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Lines on standard error that hold something."""
        return [line for line in self.err.splitlines() if line.strip()]


def nearfar(*arguments) -> Done:
    """Call `nearfar ARGUMENTS` in this process."""
    from nearfar.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    argv = ["nearfar", *map(str, arguments)]
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(sys, "argv", argv))
        stack.enter_context(mock.patch.dict(os.environ))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        stop = stack.enter_context(pytest.raises(SystemExit))
        main()
    return Done(int(stop.value.code or 0), out.getvalue(), err.getvalue())


def assert_refused(done: Done, words) -> None:
    """One line that holds these words, and exit code 2."""
    assert done.code == 2, done
    assert done.out == ""
    assert "Traceback" not in done.err
    assert len(done.lines) == 1, done.err
    line = done.lines[0]
    assert line.startswith("nearfar: ")
    assert len(line) < 600
    for word in words:
        assert word in line


def spawn(*arguments) -> subprocess.Popen:
    """Start `nearfar ARGUMENTS` with one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}
    command = [*MAIN, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def finished(process: subprocess.Popen) -> Done:
    out, err = process.communicate(timeout=240)
    return Done(process.returncode, out, err)


def options(**changes) -> list[str]:
    """The small settings with `changes` as options; a double underscore stands for a dot."""
    values = {**SMALL, **{key.replace("__", "."): value for key, value in changes.items()}}
    return [part for key, value in values.items() for part in (f"--{key}", str(value))]


def write_pairs(path: Path, count: int = 120, seed: int = 0) -> Path:
    rows = [json.dumps({"query": query, "positive": document}) for query, document in pairs(count, seed)]
    path.write_text("\n".join(rows) + "\n")
    return path


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder below `folder`, with the files' bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}
