"""Artifact folders: data plus a manifest that says what it is, what made it, and whether it is whole.

A folder is written beside its final place and renamed into it, so that a reader sees the old state or the new one and
never a half.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nearfar.core.errors import BadInput
from nearfar.core.fingerprint import digest_file

MANIFEST = "manifest.json"
FORMAT = 1


@contextmanager
def writing(path: Path, kind: str, meta: Mapping[str, Any], *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a scratch folder that becomes the artifact `path` when the block ends, and vanishes when it raises.

    Args:
        kind: what the artifact is ("index", "checkpoint", …); checked when it is read.
        meta: JSON-able facts kept in the manifest.
        overwrite: replace an artifact that is already there.

    Raises:
        BadInput: `path` exists and `overwrite` is false, or the disk is full.
    """
    if path.exists() and not overwrite:
        raise BadInput.at(path, expected="a new folder", found="one that exists", do="choose another name")
    scratch = path.with_name(f".{path.name}.writing-{os.getpid()}")
    try:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        yield scratch
        write_manifest(scratch, kind, meta)
        _replace(scratch, path)
    except OSError as error:
        raise BadInput.at(
            path,
            expected="a place to write to",
            found=f"{error.strerror or error}",
            do="free some space or choose another folder",
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_manifest(folder: Path, kind: str, meta: Mapping[str, Any]) -> None:
    """Seal `folder`: record every file's size and SHA-256, and flush all of it to disk."""
    files = {}
    for file in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST):
        files[file.relative_to(folder).as_posix()] = {"bytes": file.stat().st_size, "sha256": digest_file(file)}
        _sync(file)
    write_json(folder / MANIFEST, {"kind": kind, "format": FORMAT, "meta": dict(meta), "files": files})


def read_manifest(folder: Path, kind: str) -> dict[str, Any]:
    """Return the manifest's `meta` after checking kind, sizes and checksums.

    Raises:
        BadInput: the folder is missing, of another kind, incomplete or damaged.
    """
    manifest = _load_manifest(folder, kind)
    for name, entry in manifest["files"].items():
        _check_file(folder / name, entry)
    meta: dict[str, Any] = manifest["meta"]
    return meta


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file that is either the old one or the new one, whatever happens meanwhile."""
    scratch = path.with_name(f".{path.name}.writing-{os.getpid()}")
    scratch.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    _sync(scratch)
    scratch.replace(path)


def _load_manifest(folder: Path, kind: str) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput.at(
            folder, expected=f"a nearfar {kind} folder", found="no manifest.json", do="check the path"
        ) from None
    except (ValueError, OSError) as error:
        raise BadInput.at(
            folder / MANIFEST, expected="a readable manifest", found=str(error), do=f"make the {kind} again"
        ) from None
    found = manifest.get("kind"), manifest.get("format")
    if found != (kind, FORMAT):
        raise BadInput.at(
            folder,
            expected=f"a {kind} of format {FORMAT}",
            found=f"{found[0]} of format {found[1]}",
            do="check the path",
        )
    return manifest


def _check_file(path: Path, entry: Mapping[str, Any]) -> None:
    if not path.is_file():
        raise BadInput.at(path, expected="the file the manifest names", found="none", do="make the artifact again")
    if path.stat().st_size != entry["bytes"] or digest_file(path) != entry["sha256"]:
        raise BadInput.at(
            path, expected="the bytes the manifest names", found="other bytes", do="make the artifact again"
        )


def _replace(scratch: Path, path: Path) -> None:
    if path.exists():
        old = path.with_name(f".{path.name}.old-{os.getpid()}")
        path.rename(old)
        scratch.rename(path)
        shutil.rmtree(old)
    else:
        scratch.rename(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
