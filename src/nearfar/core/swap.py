"""Files and folders put in their place in one step."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from pathlib import Path


def put(scratch: Path, target: Path) -> None:
    """Put a flushed file or folder in its final place; what is there is replaced, and goes where it was or away.

    Raises:
        OSError: the disk cannot take it; what was there is there again.
    """
    existed = target.exists()
    if not existed:
        scratch.rename(target)
    elif not _exchange(scratch, target):
        _replace(scratch, target)
    try:
        sync(target.parent)
    except OSError:
        if existed:
            _exchange(scratch, target)
        else:
            target.rename(scratch)
        raise


def sync(path: Path) -> None:
    """Flush a file, or a folder's list of names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two of them in one step, where the system and its file system can."""
    libc = ctypes.CDLL(None)
    first, second = os.fsencode(one), os.fsencode(other)
    if sys.platform == "linux" and hasattr(libc, "renameat2"):
        at_cwd, exchange = -100, 2
        return bool(libc.renameat2(at_cwd, first, at_cwd, second, exchange) == 0)
    if sys.platform == "darwin" and hasattr(libc, "renamex_np"):
        swap = 2
        return bool(libc.renamex_np(first, second, swap) == 0)
    return False


def _replace(scratch: Path, target: Path) -> None:
    if target.is_file():
        scratch.replace(target)
        return
    old = target.parent / f".{target.name}.old-{os.getpid()}"
    target.rename(old)
    try:
        scratch.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
