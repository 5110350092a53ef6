"""A model folder as servers see it: its JSON files and which others lie there; nothing is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nearfar.core.errors import BadInput
from nearfar.core.plain_file import plain_json

POOLING_MODES: Mapping[str, str] = {  # of a pooling's settings as they were named before Sentence Transformers 6
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True)
class Module:
    """An entry of modules.json and its settings."""

    type: str
    path: str  # within the folder, "" for the folder itself
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its class without the package."""
        return self.type.rsplit(".", 1)[-1]


@dataclass(frozen=True)
class ModelFiles:
    """A model folder."""

    path: Path

    @classmethod
    def of(cls, path: Path) -> ModelFiles:
        """The files of a folder, or those of the model of a run.

        Raises:
            BadInput: there is no model, or a file of it is damaged.
        """
        path = path / "model" if (path / "model" / "modules.json").is_file() else path
        if not (path / "modules.json").is_file() and not (path / "config.json").is_file():
            raise BadInput.at(path, expected="a model folder", found="neither modules.json nor config.json",
                              do="check the path")  # fmt: skip
        return cls(path)

    @cached_property
    def config(self) -> dict[str, Any]:
        """Of the transformer: config.json; empty where there is none."""
        return self._object("config.json")

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Of the whole: prompts, similarity, kind."""
        return self._object("config_sentence_transformers.json")

    @cached_property
    def modules(self) -> Sequence[Module]:
        """What a text goes through, one after another; empty for a bare transformer."""
        entries = self.json("modules.json") or []
        try:
            return [
                Module(entry["type"], entry["path"], self._object(entry["path"], "config.json")) for entry in entries
            ]
        except (KeyError, TypeError):
            raise BadInput.at(self.path / "modules.json", expected="a list of modules with type and path",
                              found="something else", do="save the model again") from None  # fmt: skip

    @cached_property
    def pooling(self) -> Module | None:
        """The first pooling."""
        return next((module for module in self.modules if module.name == "Pooling"), None)

    @property
    def pooling_modes(self) -> list[str]:
        """How tokens become a vector; several are put one after another."""
        settings = self.pooling.settings if self.pooling else {}
        stated = settings.get("pooling_mode", [mode for key, mode in POOLING_MODES.items() if settings.get(key)])
        return [stated] if isinstance(stated, str) else list(stated)

    @property
    def architecture(self) -> str:
        """Class of the transformer, "" where none is stated."""
        return str((self.config.get("architectures") or [""])[0])

    @property
    def model_type(self) -> str:
        """Family of the transformer."""
        return str(self.config.get("model_type", ""))

    @property
    def prompts(self) -> dict[str, str]:
        """Texts before others, by name, without those that are empty."""
        return {name: text for name, text in (self.settings.get("prompts") or {}).items() if text}

    def has(self, *names: str) -> bool:
        """Whether one of these files lies in the folder."""
        return any((self.path / name).is_file() for name in names)

    def json(self, *parts: str) -> Any:
        """What a file holds, None where there is no file.

        Raises:
            BadInput: it is no JSON.
        """
        path = self.path.joinpath(*parts)
        try:
            return plain_json(path) if path.is_file() else None
        except (OSError, ValueError) as error:
            raise BadInput.at(path, expected="JSON", found=str(error), do="save the model again") from None

    def _object(self, *parts: str) -> dict[str, Any]:
        found = self.json(*parts)
        return found if isinstance(found, dict) else {}
