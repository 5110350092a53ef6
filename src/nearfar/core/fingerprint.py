"""Identity by content: what a thing is, never what it is called."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

LENGTH = 16  # hex digits kept: 64 bits, no accidental collision in any collection a user can hold


def digest(parts: Iterable[str | bytes]) -> str:
    """Fingerprint of an ordered sequence of parts; parts cannot run into each other."""
    state = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.hexdigest()[:LENGTH]


def digest_file(path: Path) -> str:
    """Full SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_keys(texts: Iterable[str]) -> list[bytes]:
    """16-byte content keys of texts."""
    return [hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts]
