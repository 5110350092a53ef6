"""One writer at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nearfar.core.errors import BadInput

LOCK = ".lock"


@contextmanager
def alone(folder: Path, path: Path | None = None) -> Iterator[None]:
    """Be the only process that changes a folder; the system ends that with the process, however it ends.

    Args:
        path: what the folder is called to the user.

    Raises:
        BadInput: another process is at it.
    """
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput.at(path or folder, expected="an index that nobody else is changing",
                              found="another process at it", do="wait until it has finished") from None  # fmt: skip
        yield
