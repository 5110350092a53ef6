"""Every technique that can be named in the configuration, with what it is for and where it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from nearfar.compress.registry import CODECS
from nearfar.core.config import nearest
from nearfar.core.errors import BadInput
from nearfar.data.augment import AUGMENTATIONS
from nearfar.encoder.poolings import POOLINGS
from nearfar.losses import LOSSES
from nearfar.pipeline.recipes import RECIPES
from nearfar.pipeline.stages import MERGES


class Technique(Protocol):
    @property
    def purpose(self) -> str: ...
    @property
    def source(self) -> str: ...


@dataclass(frozen=True)
class Entry:
    """One name, its purpose in a line, and its source."""

    name: str
    purpose: str
    source: str


REGISTRIES: Mapping[str, Mapping[str, Technique]] = {
    "losses": LOSSES,
    "poolings": POOLINGS,
    "recipes": RECIPES,
    "merges": MERGES,
    "augmentations": AUGMENTATIONS,
    "codecs": CODECS,
}


def techniques(kind: str | None = None) -> dict[str, tuple[Entry, ...]]:
    """The entries of one registry, or of all, by the registry's name.

    Raises:
        BadInput: there is no such registry.
    """
    if kind is not None and kind not in REGISTRIES:
        near = nearest(kind, list(REGISTRIES))
        raise BadInput.at("list", expected="one of its registries", found=repr(kind), do=near)
    return {name: tuple(_entries(found)) for name, found in REGISTRIES.items() if kind in {None, name}}


def _entries(registry: Mapping[str, Technique]) -> Iterable[Entry]:
    return (Entry(name, technique.purpose, technique.source) for name, technique in registry.items())
