"""Files of a table that are gone or cut short, told in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nearfar.core.disk import DISK_MESSAGES
from nearfar.core.errors import BadInput, DiskTrouble

CUT_SHORT = re.compile(r"LanceError\(IO\)|Io error")  # in what Lance and pyarrow say of a file
FROM_STORAGE = re.compile(r"LanceError|Io error|Error performing|not found", re.IGNORECASE)  # and of a URL


class Unreadable(BadInput):
    """A file of a table is gone, or cut short."""


def first_of(error: Exception) -> str:
    """The first part of what Lance says, which goes on with its own files, and whole answers of a server."""
    return str(error).splitlines()[0].split(",")[0]


@contextmanager
def told(place: str) -> Iterator[None]:
    """Tell what keeps an opened table from being read.

    Raises:
        Unreadable: so.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        raise Unreadable.at(place, expected="the files of the generation that was opened",
                            found=first_of(error), do="open the index again") from None  # fmt: skip


@contextmanager
def reached(uri: str) -> Iterator[None]:
    """Tell what keeps the table at a URL from being read or written.

    Raises:
        BadInput: so.
    """
    try:
        yield
    except (Unreadable, OSError, ValueError, RuntimeError) as error:
        if not isinstance(error, Unreadable) and not FROM_STORAGE.search(str(error)):
            raise
        found = error.found if isinstance(error, Unreadable) else first_of(error)
        raise BadInput.at(uri, expected="object storage that answers", found=found,
                          do="check the URL, the credentials and the network") from error  # fmt: skip


@contextmanager
def read_back(path: Path) -> Iterator[None]:
    """Tell what cannot be read again as trouble with the disk: Lance says nothing when a file's last write has failed.

    Raises:
        DiskTrouble: so.
    """
    try:
        yield
    except (Unreadable, OSError, ValueError) as error:
        if not isinstance(error, Unreadable) and (DISK_MESSAGES.search(str(error)) or not CUT_SHORT.search(str(error))):
            raise
        raise DiskTrouble.at(path, expected="a place to write to", found="a file that cannot be read again",
                             do="free some space or choose another folder") from error  # fmt: skip
