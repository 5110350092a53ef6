"""Files read whole that another may have written: none that never ends, is too long, or holds more than it weighs."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nearfar.core.errors import BadInput, NearfarError, excerpt

MOST_TEXT_BYTES = 64 << 20


def plain_text(path: Path, most_bytes: int = MOST_TEXT_BYTES) -> str:
    """The text of a file.

    Raises:
        FileNotFoundError: there is none.
        OSError: it cannot be read.
        ValueError: it is a device, a pipe or a folder, is too long, or is no UTF-8.
    """
    check_plain(path, most_bytes)
    return path.read_text(encoding="utf-8")


def check_plain(path: Path, most_bytes: int | None = None) -> None:
    """Refuse what is no file, or has more bytes.

    Raises:
        FileNotFoundError, OSError, ValueError: as of `plain_text`.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("no file, but a folder, a device or a pipe")
    if most_bytes is not None and found.st_size > most_bytes:
        raise ValueError(f"{found.st_size:,} bytes, more than {most_bytes:,}")


def plain_json(path: Path, most_bytes: int = MOST_TEXT_BYTES) -> Any:
    """The value of a JSON file.

    Raises:
        FileNotFoundError, OSError: as of `plain_text`.
        ValueError: as of `plain_text`, or it is no JSON, or nested too deep.
    """
    try:
        return json.loads(plain_text(path, most_bytes))
    except RecursionError:
        raise ValueError("values nested too deep") from None


@contextmanager
def understood(path: Path, what: str = "an index", do: str = "make it again") -> Iterator[None]:
    """Tell what makes a file unlike what is written here, whatever it raises: parsers of damaged files raise anything.

    Raises:
        BadInput: so.
    """
    try:
        yield
    except NearfarError:
        raise
    except Exception as error:
        raise BadInput.at(path, expected=f"{what} as it is written", found=excerpt(f"{type(error).__name__}: {error}"),
                          do=do) from error  # fmt: skip
