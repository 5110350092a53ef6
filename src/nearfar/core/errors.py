"""Errors that a user can act on: one line, what was expected, what was found, what to do."""

from __future__ import annotations

from pathlib import Path


class NearfarError(Exception):
    """Base of every error nearfar raises on purpose; the command line prints it as one line and exits so."""

    exit_code = 2


class BadInput(NearfarError):
    """Something the user gave cannot be used."""

    where = ""  # the place in the line, and
    found = ""  # what was found there

    @classmethod
    def at(cls, where: str | Path, *, expected: str, found: str, do: str, line: int | None = None) -> BadInput:
        """Build the standard line `file:line: expected … found …; do …`.

        Args:
            where: file, folder, option or column the problem is in.
            line: 1-based line number, when `where` is a file read by lines.
        """
        place = f"{where}:{line}" if line is not None else str(where)
        error = cls(" ".join(f"{place}: expected {expected}, found {found}; {do}".splitlines()))
        error.where, error.found = place, found
        return error


class DiskTrouble(BadInput):
    """The disk cannot take what is to be written."""


class FingerprintMismatch(NearfarError):
    """Two artifacts that belong to different embedding spaces were brought together."""


class DimensionMismatch(NearfarError):
    """Vectors of different dimensions were brought together."""


class MissingExtra(NearfarError):
    """An optional part is not installed; the message names the install command."""

    @classmethod
    def of(cls, feature: str, extra: str) -> MissingExtra:
        return cls(f"{feature} needs the extra '{extra}'; install it with: pip install 'nearfar[{extra}]'")


class Interrupted(NearfarError):
    """The user pressed Ctrl-C during long work; the message says how to go on."""

    exit_code = 130


class ProcessFailed(NearfarError):
    """One of several processes met an error, and says it for all."""

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Ended(NearfarError):
    """Another process of the run failed and has said why: this one has nothing to add."""


def excerpt(text: str, limit: int = 60) -> str:
    """Quote a text on one line for an error message, shortened to `limit` characters."""
    shown = repr(text[:limit])
    return shown if len(text) <= limit else f"{shown[:-1]}…{shown[-1]}"
