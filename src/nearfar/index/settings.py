"""What judged queries taught about searching an index, beside it and apart from its generations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from nearfar.core.artifact import read_manifest, writing
from nearfar.core.config import Config

KIND, FOLDER = "search settings", "search"


class LearnedOrder(Config):
    """Of a learned order of documents; its trees are files beside the settings."""

    reader: str = ""
    """Model that reads the first documents; empty: none does."""
    fingerprint: str = ""
    """Of that model."""
    depth: Annotated[int, Field(ge=0)] = 0
    """Documents that it reads."""


class Settings(Config):
    """Of searches over an index."""

    weight: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of the dense score in a hybrid one."""
    answered_from: Mapping[str, float] = {}
    """Mode of search → score from which its best answer is likelier right than wrong."""

    learned: LearnedOrder | None = None
    """What orders the documents of a search, where one was learned and kept."""

    def save(self, index: Path, files: Mapping[str, str] | None = None) -> None:
        """Keep them with an index folder, with texts as files by their names, in the place of what it has."""
        with writing(index / FOLDER, KIND, self.model_dump(), overwrite=True) as folder:
            for name, text in (files or {}).items():
                (folder / name).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, index: Path) -> Settings:
        """Those of an index folder; all empty where none were kept.

        Raises:
            BadInput: they are damaged.
        """
        folder = index / FOLDER
        return cls.parse(read_manifest(folder, KIND), str(folder)) if folder.exists() else cls()
