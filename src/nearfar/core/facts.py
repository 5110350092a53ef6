"""What a manifest must say: its seal tells that nothing was damaged, not that its writer meant well."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

from nearfar.core.errors import BadInput, excerpt


def check_manifest(path: Path, manifest: Mapping[str, Any]) -> None:
    """Refuse a manifest without facts and files, or with a file that lies elsewhere.

    Raises:
        BadInput: so.
    """
    if not (isinstance(manifest.get("meta"), dict) and isinstance(manifest.get("files"), dict)):
        raise _wrong(path, "facts and files", "none")
    if outside := next((name for name in manifest["files"] if not is_inside(name)), None):
        raise _wrong(path, "names of files in its folder", excerpt(outside))


def check_facts(folder: Path, meta: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
    """Refuse the facts of an artifact of which one of these is missing or of another kind.

    Raises:
        BadInput: so.
    """
    for name, kind in kinds.items():
        if not isinstance(meta.get(name), kind):
            raise _wrong(folder, f"the fact '{name}', of kind {kind.__name__}", excerpt(str(meta.get(name))))


def is_inside(name: str) -> bool:
    """Whether a name stays in the folder that it is joined to, on every system."""
    path = PureWindowsPath(name)  # which knows the signs of all
    return not path.anchor and ".." not in path.parts and "\0" not in name


def _wrong(path: Path, expected: str, found: str) -> BadInput:
    return BadInput.at(path, expected=expected, found=found, do="make the artifact again")
