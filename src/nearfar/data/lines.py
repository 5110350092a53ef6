"""Lines of a text file, plain or gzipped, each known to be UTF-8, free of NUL bytes and of bearable length."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from nearfar.core.errors import BadInput
from nearfar.data.bad_row import BadRow
from nearfar.data.intake import Intake

LINE_BYTES = 10_000_000
Bytes = IO[bytes] | gzip.GzipFile


@contextmanager
def opened(path: Path) -> Iterator[Bytes]:
    """Open a file for reading bytes, through gzip when its name ends so.

    Raises:
        BadInput: there is no such file, or it may not be read.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise BadInput.at(path, expected="a file", found="none", do="check the path") from None
    except OSError as error:
        raise BadInput.at(
            path,
            expected="a readable file",
            found=str(error.strerror or error),
            do="check the file and its permissions",
        ) from None


def lines(path: Path, intake: Intake) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its end); bad lines are refused."""
    with opened(path) as file:
        for number, raw in raw_lines(file, path):
            try:
                yield number, decoded(raw, number)
            except BadRow as bad:
                intake.refuse(path, number, bad)


def raw_lines(file: Bytes, path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (line number from 1, bytes), of a line that is too long only its beginning."""
    number = 0
    try:
        while raw := file.readline(LINE_BYTES + 1):
            number += 1
            yield number, raw
            if len(raw) > LINE_BYTES:
                _skip_line(file, raw)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput.at(
            path, expected="a whole gzip file", found=f"a broken one ({error})", do="copy it again", line=number + 1
        ) from None


def _skip_line(file: Bytes, raw: bytes) -> None:
    while raw and not raw.endswith(b"\n"):
        raw = file.readline(LINE_BYTES)


def decoded(raw: bytes, number: int) -> str:
    """A line as text without its end.

    Raises:
        BadRow: it is too long, not UTF-8, or has a NUL byte.
    """
    if len(raw) > LINE_BYTES:
        raise BadRow(
            expected=f"lines of at most {LINE_BYTES // 10**6} MB", found="a longer one", do="split or shorten the text"
        )
    try:
        # utf-8-sig: editors on Windows put a byte order mark before the first line
        text = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise BadRow(
            expected="UTF-8 text",
            found=f"byte 0x{raw[error.start]:02x} at column {error.start + 1}",
            do="save the file as UTF-8",
        ) from None
    if "\0" in text:
        raise BadRow(expected="text", found=f"a NUL byte at column {text.index(chr(0)) + 1}", do="remove it")
    return text
