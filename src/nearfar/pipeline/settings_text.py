"""A run's settings as text that others may read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

import yaml

from nearfar.encoder.load import HUB_NAME
from nearfar.pipeline.config import FitConfig


def settings_text(config: Mapping[str, Any]) -> str:
    """The settings that are not the defaults as YAML; of a path only its last part."""
    parsed = FitConfig.parse(config, "run").model_dump(mode="json", exclude_defaults=True, exclude={"out"})
    return yaml.safe_dump(_shown(parsed), sort_keys=False, allow_unicode=True)


def without_path(value: str) -> str:
    """The last part of what names a place on this machine; anything else as it is."""
    placed = Path(value).is_absolute() or PureWindowsPath(value).is_absolute() or value.startswith(("~", "."))
    words = any(map(str.isspace, value))
    relative = "/" in value and (Path(value).exists() or not (HUB_NAME.fullmatch(value) or words))
    return PureWindowsPath(value).name if placed or relative else value


def _shown(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _shown(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_shown(entry) for entry in value]
    return without_path(value) if isinstance(value, str) else value
