"""What goes wrong at a chosen moment of this process: it is killed, the disk is full, or Ctrl-C is pressed."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from nearfar.core import swap
from nearfar.pipeline.progress import Advance
from nearfar.train import checkpoint

WRITES = {"open", "mkdir", "rename", "exchange", "fsync", "write"}  # what a full disk refuses


@dataclass
class Disturbance:
    """Counts the moments of a run, and lets `fault` happen at number `at` (from 1); a disk that is full stays full."""

    folder: Path
    fault: str = ""
    at: int = 0
    moments: list[str] = field(default_factory=list)

    def moment(self, name: str, tear: Callable[[], None] = lambda: None) -> None:
        """Something is about to happen; `tear` does half of it."""
        self.moments.append(name)
        reached = len(self.moments)
        if self.fault == "full" and reached >= self.at and name in WRITES:
            tear()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if reached != self.at:
            return
        if self.fault == "kill":
            tear()
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault.startswith("interrupt"):
            signal.raise_signal(signal.SIGINT)
        if self.fault == "interrupt twice":
            signal.raise_signal(signal.SIGINT)

    def watch(self) -> None:
        """Count the operations of this process from now on; it must be one that ends soon."""
        names = {"os.mkdir": "mkdir", "os.rename": "rename", "os.remove": "remove", "os.rmdir": "remove"}

        def audit(event: str, arguments: tuple[Any, ...]) -> None:
            if event in names and self._ours(arguments):
                self.moment(names[event])
            elif event == "open" and self._ours(arguments) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
                self.moment("open")

        sys.addaudithook(audit)
        self._wrap(os, "fsync", "fsync")
        self._wrap(swap, "_exchange", "exchange")
        save_file, write_text = checkpoint.save_file, Path.write_text

        def save_torn(tensors: Any, path: Path) -> None:
            try:
                self.moment("write", lambda: halved(path, lambda: save_file(tensors, path)))
            except OSError as error:  # safetensors has an error of its own
                raise SafetensorError(f"I/O error: {error.strerror} (os error {error.errno})") from None
            save_file(tensors, path)

        def write_torn(path: Path, text: str, **options: Any) -> int:
            if self._ours((path,)):
                self.moment("write", lambda: halved(path, lambda: write_text(path, text, **options)))
            return write_text(path, text, **options)

        checkpoint.save_file = save_torn
        Path.write_text = write_torn  # type: ignore[method-assign]

    def _ours(self, arguments: tuple[Any, ...]) -> bool:
        """Whether an operation is on a path of the run; removing a tree names them relative to an open folder."""
        path = arguments[0]
        relative = isinstance(path, str) and "/" not in path
        return relative or (isinstance(path, str | Path) and Path(path).is_relative_to(self.folder))

    def _wrap(self, module: Any, name: str, moment: str) -> None:
        original = getattr(module, name)

        def wrapped(*arguments: Any) -> Any:
            self.moment(moment)
            return original(*arguments)

        setattr(module, name, wrapped)


@dataclass(frozen=True)
class Moments:
    """A reporter to whom every part of mining is a moment: texts encoded, negatives found."""

    disturbance: Disturbance

    def say(self, _line: str) -> None:
        self.disturbance.moment("mining")

    @contextmanager
    def bar(self, _title: str, _total: int) -> Iterator[Advance]:
        self.disturbance.moment("mining")
        yield lambda _done, _note: self.disturbance.moment("mining")


def halved(path: Path, write: Callable[[], Any]) -> None:
    write()
    os.truncate(path, path.stat().st_size // 2)
