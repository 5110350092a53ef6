"""Names that the shell completes; where none begins as what is written, it completes files."""

from __future__ import annotations

from collections.abc import Iterable

MODELS = ("minilm", "static", "bm25")  # written out: their registry imports torch


def models(incomplete: str) -> list[str]:
    """Names that stand for models."""
    return _begun(MODELS, incomplete)


def codecs(incomplete: str) -> list[str]:
    """Names of codecs; of several with commas the last one is completed."""
    from nearfar.compress.registry import CODECS

    *before, last = incomplete.split(",")
    return [",".join([*before, name]) for name in _begun(CODECS, last)]


def _begun(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if incomplete and name.startswith(incomplete)]
