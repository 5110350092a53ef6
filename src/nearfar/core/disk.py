"""A disk that is full, out of order or read-only, told in one line."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nearfar.core.errors import DiskTrouble

DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})
# safetensors and numpy report a full disk without an errno
DISK_MESSAGES = re.compile(rf"\(os error ({'|'.join(map(str, sorted(DISK_ERRORS)))})\)|requested and \d+ written")


@contextmanager
def disk_told(path: Path, *own: Path, do: str = "free some space or choose another folder") -> Iterator[None]:
    """Tell trouble with the disk or the `own` places in one line about `path`; let all other trouble pass.

    Raises:
        DiskTrouble: the disk is full, out of order or read-only, or an `own` place cannot be used; it says to `do` so.
    """
    try:
        yield
    except Exception as error:  # safetensors' error has no base of its own to name; what is not the disk's goes on
        if isinstance(error, DiskTrouble):
            path, found = Path(error.where), error.found
        elif _is_disk_trouble(error, own):
            found = (isinstance(error, OSError) and error.strerror) or _reason(str(error))
        else:
            raise
        raise DiskTrouble.at(path, expected="a place to write to", found=found, do=do) from error


def _reason(message: str) -> str:
    match = DISK_MESSAGES.search(message)
    return os.strerror(int(match[1])) if match and match[1] else message


def _is_disk_trouble(error: Exception, own: tuple[Path, ...]) -> bool:
    if DISK_MESSAGES.search(str(error)):
        return True
    if not isinstance(error, OSError):
        return False
    if error.errno in DISK_ERRORS or error.filename is None:
        return error.errno in DISK_ERRORS
    place = Path(str(error.filename))
    return any(place.is_relative_to(mine) or mine.is_relative_to(place) for mine in own)
