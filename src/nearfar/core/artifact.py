"""Artifact folders: data plus a manifest that says what it is, what made it, and whether it is whole.

A folder is written beside its final place and put there in one step, so that a reader sees the old state or the new one
and never a half.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nearfar.core.disk import disk_told
from nearfar.core.errors import BadInput
from nearfar.core.facts import check_manifest
from nearfar.core.fingerprint import digest, digest_file
from nearfar.core.plain_file import plain_json
from nearfar.core.swap import put, sync

MANIFEST = "manifest.json"
FORMAT = 1


@contextmanager
def writing(path: Path, kind: str, meta: Mapping[str, Any], *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a scratch folder that becomes the artifact `path` when the block ends, and vanishes when it raises.

    Args:
        kind: what the artifact is ("index", "checkpoint", …); checked when it is read.
        meta: JSON-able facts kept in the manifest.
        overwrite: replace an artifact that is already there; it answers until the new one takes its place.

    Raises:
        BadInput: `path` exists and `overwrite` is false, it is no artifact, or the disk cannot take the new one.
    """
    with placing(path, overwrite=overwrite) as scratch:
        yield scratch
        write_manifest(scratch, kind, meta)


@contextmanager
def placing(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a scratch folder that takes its place at `path` when the block ends; the block flushes what it holds.

    Raises:
        BadInput: as of `writing`.
    """
    target = Path(os.path.realpath(path))
    scratch = _beside(target, "writing")
    with disk_told(path, target, scratch):
        _check_free(path, overwrite=overwrite)
        sweep(target.parent, glob.escape(target.name))
        try:
            scratch.mkdir(parents=True)
            yield scratch
            for file in scratch.rglob("*.safetensors"):  # which the library lets none but its owner read
                if file.is_file() and not file.is_symlink():
                    with suppress(PermissionError):  # a file system without modes
                        file.chmod(scratch.stat().st_mode & 0o666)
            put(scratch, target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def check_place(path: Path) -> None:
    """Refuse, before any work, a path at which no folder can be made.

    Raises:
        BadInput: it is below a file, has an impossible name, or may not be looked at.
    """
    try:
        above = next(parent for parent in path.absolute().parents if parent.exists())
        found = "" if path.exists() or above.is_dir() else f"a file above it, {above.name}"
    except OSError as error:
        found = str(error.strerror)
    if found:
        raise BadInput.at(path, expected="a place to write to", found=found, do="choose another --out")


def write_manifest(folder: Path, kind: str, meta: Mapping[str, Any], files: Iterable[Path] | None = None) -> None:
    """Seal `folder`: record the size and SHA-256 of its files, and flush them to disk; until then it is what it was.

    Args:
        files: of the folder that belong to it, none of which ever changes: what the manifest that is there says of one
            is taken over. None: all that are there.
    """
    known = {} if files is None or not (folder / MANIFEST).exists() else _load_manifest(folder, kind)["files"]
    wanted = folder.rglob("*") if files is None else {place for file in files for place in (file, *file.parents)}
    recorded = {}
    for entry in sorted(place for place in wanted if place.is_relative_to(folder)):
        name = entry.relative_to(folder).as_posix()
        if name in known:
            recorded[name] = known[name]
            continue
        if entry.is_file() and entry != folder / MANIFEST:
            recorded[name] = {"bytes": entry.stat().st_size, "sha256": digest_file(entry)}
        sync(entry)
    _write_json(folder / MANIFEST, sealed(kind, meta, recorded))


def sealed(kind: str, meta: Mapping[str, Any], files: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest of files whose sizes and checksums are known."""
    manifest = {"kind": kind, "format": FORMAT, "meta": dict(meta), "files": dict(files)}
    return {**manifest, "seal": _seal(manifest)}


def remove(path: Path) -> None:
    """Remove an artifact, which is whole until it is gone; what a crash leaves of it is swept as an unfinished one.

    Raises:
        DiskTrouble: the disk cannot take it.
    """
    scratch = _beside(path, "writing")
    with disk_told(path, path, scratch):
        path.rename(scratch)
        shutil.rmtree(scratch)


def read_manifest(folder: Path, kind: str) -> dict[str, Any]:
    """Return the manifest's `meta` after checking kind, sizes and checksums.

    Raises:
        BadInput: the folder is missing, of another kind, incomplete or damaged.
    """
    meta: dict[str, Any] = read_whole(folder, kind)["meta"]
    return meta


def read_whole(folder: Path, kind: str) -> dict[str, Any]:
    """Return the manifest, its `meta` and its `files`, after checking kind, sizes and checksums.

    Raises:
        BadInput: as of `read_manifest`.
    """
    manifest = _load_manifest(folder, kind)
    for name, entry in manifest["files"].items():
        _check_file(folder / name, entry)
    return manifest


def is_artifact(folder: Path, kind: str) -> bool:
    """Whether `folder` says that it is an artifact of this kind; not whether it is whole."""
    try:
        _load_manifest(folder, kind)
    except BadInput:
        return False
    return True


def read_meta(folder: Path, kind: str) -> dict[str, Any]:
    """Return the manifest's `meta` without reading the files it names.

    Raises:
        BadInput: the manifest is missing, of another kind or damaged.
    """
    meta: dict[str, Any] = _load_manifest(folder, kind)["meta"]
    return meta


def read_files(folder: Path, kind: str) -> dict[str, Any]:
    """Size and SHA-256 of each file that the manifest names; the files are not read.

    Raises:
        BadInput: the manifest is missing, of another kind or damaged.
    """
    files: dict[str, Any] = _load_manifest(folder, kind)["files"]
    return files


def identity(folder: Path, kind: str) -> str:
    """Digest of all that the artifact holds, as its manifest says it; the files are not read.

    Raises:
        BadInput: the manifest is missing, of another kind or damaged.
    """
    return _seal(_load_manifest(folder, kind))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file that is either the old one or the new one, whatever happens meanwhile.

    Raises:
        BadInput: the disk cannot take it.
    """
    with disk_told(path, path):
        _write_json(path, value)


def _write_json(path: Path, value: Any) -> None:
    scratch = _beside(path, "writing")
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    try:
        # a lone surrogate has no UTF-8, but its backslash form is also its JSON escape
        scratch.write_text(text, encoding="utf-8", errors="backslashreplace")
        sync(scratch)
        put(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def _load_manifest(folder: Path, kind: str) -> dict[str, Any]:
    try:
        manifest = plain_json(folder / MANIFEST)
    except FileNotFoundError:
        kept = next(folder.parent.glob(f".{glob.escape(folder.name)}.old-*"), None)
        do = f"rename {kept} to it, which an interrupted replacement left" if kept else "check the path"
        raise BadInput.at(folder, expected=f"a nearfar {kind} folder", found="no manifest.json", do=do) from None
    except (ValueError, OSError) as error:
        raise BadInput.at(
            folder / MANIFEST, expected="a readable manifest", found=str(error), do=f"make the {kind} again"
        ) from None
    seal = manifest.pop("seal", None) if isinstance(manifest, dict) else None
    if seal is not None and seal != _seal(manifest):
        raise _damaged(folder / MANIFEST, expected="the manifest as it was sealed", found="another text")
    if not isinstance(manifest, dict) or "kind" not in manifest or "format" not in manifest:
        raise BadInput.at(
            folder, expected=f"a nearfar {kind} folder", found="another manifest.json", do="check the path"
        )
    if (manifest["kind"], manifest["format"]) != (kind, FORMAT):
        raise BadInput.at(
            folder,
            expected=f"{_a(kind)} of format {FORMAT}",
            found=f"{manifest['kind']} of format {manifest['format']}",
            do="check the path",
        )
    if seal is None:
        raise _damaged(folder / MANIFEST, expected="the manifest as it was sealed", found="no seal")
    check_manifest(folder / MANIFEST, manifest)
    return manifest


def _check_file(path: Path, entry: Mapping[str, Any]) -> None:
    if not path.is_file():
        raise _damaged(path, expected="the file the manifest names", found="none")
    try:
        whole = path.stat().st_size == entry["bytes"] and digest_file(path) == entry["sha256"]
    except OSError as error:
        raise _damaged(path, expected="a readable file", found=error.strerror or str(error)) from None
    except (KeyError, TypeError):
        raise _damaged(path, expected="a size and a checksum in the manifest", found="neither") from None
    if not whole:
        raise _damaged(path, expected="the bytes the manifest names", found="other bytes")


def _damaged(path: Path, *, expected: str, found: str) -> BadInput:
    return BadInput.at(path, expected=expected, found=found, do="make the artifact again")


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _seal(manifest: Mapping[str, Any]) -> str:
    return digest([json.dumps(manifest)])


def _check_free(path: Path, *, overwrite: bool) -> None:
    if not path.exists():
        return
    if not overwrite:
        raise BadInput.at(path, expected="a new folder", found="one that exists", do="choose another name")
    if not (path / MANIFEST).is_file() and any(path.iterdir()):
        raise BadInput.at(
            path, expected="an artifact to replace", found="a folder that is none", do="choose another name"
        )


def _beside(path: Path, purpose: str) -> Path:
    return path.parent / f".{path.name}.{purpose}-{os.getpid()}"


def sweep(folder: Path, names: str = "*") -> None:
    """Remove what dead processes, or this one, left of artifacts in `folder` they were writing or removing.

    Args:
        names: pattern of the artifacts' names. Other machines' processes look dead: name only what one of them writes.
    """
    for left in folder.glob(f".{names}.writing-*"):
        process = left.name.rpartition(".writing-")[2]
        if process.isdecimal() and (int(process) == os.getpid() or not _alive(int(process))):
            shutil.rmtree(left, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except PermissionError:  # another user's
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
