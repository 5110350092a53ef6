"""What judged queries taught about searching an index, beside it and apart from its generations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from nearfar.core.artifact import read_manifest, writing
from nearfar.core.config import Config

KIND, FOLDER = "search settings", "search"


class Settings(Config):
    """Of searches over an index."""

    weight: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of the dense score in a hybrid one."""
    answered_from: Mapping[str, float] = {}
    """Mode of search → score from which its best answer is likelier right than wrong."""

    def save(self, index: Path) -> None:
        """Keep them with an index folder, in the place of those that it has."""
        with writing(index / FOLDER, KIND, self.model_dump(), overwrite=True):
            pass

    @classmethod
    def load(cls, index: Path) -> Settings:
        """Those of an index folder; all empty where none were kept.

        Raises:
            BadInput: they are damaged.
        """
        folder = index / FOLDER
        return cls.parse(read_manifest(folder, KIND), str(folder)) if folder.exists() else cls()
