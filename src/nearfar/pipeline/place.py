"""Where an index lies, and where a verb writes what it makes, checked before any work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nearfar.core.artifact import MANIFEST, check_place, is_artifact, read_manifest, read_meta
from nearfar.core.errors import BadInput


@dataclass(frozen=True)
class Place:
    """Where an index lies, and the run it is part of."""

    index: Path
    run: Path | None

    @classmethod
    def of(cls, path: str | Path) -> Place:
        """A run folder, or an index folder, which may lie in a run."""
        path = Path(path)
        if (path / "index").is_dir():
            return cls(path / "index", path)
        return cls(path, path.parent if (path.parent / "model").is_dir() else None)

    def made_by(self, fingerprint: str) -> Path | None:
        """The folder of the model that made the index, where it is in the run."""
        folder = self.run / "model" if self.run else None
        if folder is None or not is_artifact(folder, "model"):
            return None
        return folder if read_meta(folder, "model").get("fingerprint") == fingerprint else None


def check_made(path: Path, kind: str, what: str, *, overwrite: bool) -> None:
    """Refuse a folder that cannot be written, or that holds something else than an artifact of this kind.

    Args:
        what: the artifact in words ("mined negatives").

    Raises:
        BadInput: so, or the artifact is damaged and not to be replaced.
    """
    check_place(path)
    manifest = path / MANIFEST
    if not path.exists():
        return
    if not manifest.is_file() or f'"kind": "{kind}"' not in manifest.read_text(encoding="utf-8", errors="replace"):
        raise BadInput.at(path, expected=f"a new folder, or {what}", found="something else",
                          do="choose another --out")  # fmt: skip
    if not overwrite:
        read_manifest(path, kind)
