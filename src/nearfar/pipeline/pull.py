"""`pull`: a model, and its index where it has one, from the Hugging Face hub into a folder of this machine."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import HfApi, hf_hub_download

from nearfar.core.artifact import MANIFEST, check_place, placing, read_files, read_whole, write_manifest
from nearfar.core.errors import BadInput, DiskTrouble, excerpt
from nearfar.core.fingerprint import digest_file
from nearfar.core.swap import sync
from nearfar.encoder.kind import kind_of
from nearfar.encoder.load import HUB_S, load_encoder
from nearfar.pipeline.hub import check_name, hub_told
from nearfar.pipeline.progress import Reporter, Silent

INDEX, MODEL, CARD = "index", "model", "README.md"
DATA = {".json", ".jsonl", ".txt", ".md", ".safetensors", ".model", ".npy", ".npz"}  # files that hold no code
OF_INDEX = DATA | {".lance", ".manifest", ".txn", ".arrow"}
PICKLES = {".bin", ".pt", ".pth", ".pkl", ".ckpt"}
OTHERS = ("onnx/", "openvino/")  # the same model for other runtimes, in many repositories
FETCHED, CLIENTS = ".fetched", ".cache"  # where it is put together; what the hub's client keeps beside the files


@dataclass(frozen=True)
class Pulled:
    """What was fetched, and what was left where it is."""

    repository: str
    commit: str
    path: str
    fingerprint: str
    size_bytes: int
    files: tuple[str, ...]
    left_out: tuple[str, ...]  # files that nothing here reads, or that could run code
    index: bool


def pull(name: str, out: str | Path, *, revision: str | None = None, reporter: Reporter | None = None) -> Pulled:
    """Fetch a model of the Hugging Face hub into a new folder, which is there whole or not at all.

    With an index it is a folder as of a run, of `model` and `index`; without, a model folder. Nothing that could run
    code is fetched; sizes and checksums are compared with the hub's and with those of the manifest, and the model is
    opened once.

    Args:
        name: OWNER/NAME.
        revision: a branch, a tag or a commit; left out, the main branch.

    Raises:
        BadInput: the hub has no such model or does not answer, it has no weights without pickle, or needs code of its
            own, a file is not what it should be, or `out` exists.
    """
    check_name(name)
    check_place(Path(out))
    with placing(Path(out)) as scratch:
        found = _Repository.of(name, revision)
        folder = scratch / FETCHED
        (reporter or Silent()).say(f"fetching {name} at {found.commit[:12]}")
        with _in_words_of(name, folder):
            kept = found.fetch(folder)
            fingerprint = _checked(folder, name)
        index = (folder / INDEX).is_dir()
        _settle(scratch, index=index)
        return Pulled(name, found.commit, str(out), fingerprint, sum(found.files[file].size for file in kept),
                      tuple(kept), tuple(sorted(found.files.keys() - set(kept))), index)  # fmt: skip


@dataclass(frozen=True)
class _File:
    """Size and checksum by the hub: SHA-256 of a large file, else of git's blob."""

    size: int
    sha256: str
    blob: str

    def check(self, path: Path, where: str) -> None:
        blob = f"blob {path.stat().st_size}\0".encode() + path.read_bytes() if not self.sha256 else b""
        git = hashlib.sha1(blob, usedforsecurity=False).hexdigest()
        same = digest_file(path) == self.sha256 if self.sha256 else git == self.blob
        if path.stat().st_size != self.size or not same:
            raise BadInput.at(where, expected="the bytes that the hub names", found="other bytes", do="pull again")


@dataclass(frozen=True)
class _Repository:
    """What a repository holds at one commit."""

    name: str
    commit: str
    files: Mapping[str, _File]

    @classmethod
    def of(cls, name: str, revision: str | None) -> _Repository:
        with hub_told(name):
            info = HfApi().model_info(name, revision=revision, files_metadata=True, timeout=HUB_S)
        files = {entry.rfilename: _File(entry.size or 0, entry.lfs.sha256 if entry.lfs else "", entry.blob_id or "")
                 for entry in info.siblings or ()}  # fmt: skip
        for place in files:
            if PurePosixPath(place).is_absolute() or ".." in PurePosixPath(place).parts or not _plain(place):
                raise BadInput.at(name, expected="files below the repository", found=excerpt(place), do="do not use it")
        return cls(name, str(info.sha), files)

    def fetch(self, folder: Path) -> list[str]:
        """Fetch what a model, and an index, are made of into `folder`; the files' names."""
        kept = [*self._fetched(self._manifests(), folder)]
        wanted = [place for place in self._wanted(folder) if place not in kept]
        if not any(place.endswith(".safetensors") for place in wanted):
            pickles = [place for place in self.files if PurePosixPath(place).suffix in PICKLES]
            found = f"a pickle, {excerpt(pickles[0])}, which can run code" if pickles else "none"
            raise BadInput.at(self.name, expected="weights as safetensors", found=found, do="choose another model")
        kept += self._fetched(wanted, folder)
        shutil.rmtree(folder / CLIENTS, ignore_errors=True)
        return kept

    def _manifests(self) -> Sequence[str]:
        return [place for place in (MANIFEST, f"{INDEX}/{MANIFEST}") if place in self.files]

    def _wanted(self, folder: Path) -> Iterator[str]:
        """What the manifests name; of a model without one, what a model may be made of."""
        if MANIFEST in self.files:
            yield from self._named(read_files(folder, "model"), "", DATA)
            yield from [CARD] if CARD in self.files else []
        else:
            own = [place for place in self.files if not place.startswith((*OTHERS, f"{INDEX}/", "."))]
            yield from (place for place in own if PurePosixPath(place).suffix in DATA)
        if f"{INDEX}/{MANIFEST}" in self.files:
            yield from self._named(read_files(folder / INDEX, "index"), f"{INDEX}/", OF_INDEX)

    def _named(self, names: Iterable[str], above: str, kinds: set[str]) -> Iterator[str]:
        for place in (above + name for name in names):
            if place not in self.files or place.startswith(".") or PurePosixPath(place).suffix not in kinds:
                found = "none" if place not in self.files else "a file that may run code"
                raise BadInput.at(f"{self.name}: {place}", expected="the file that the manifest names", found=found,
                                  do="push it again, or choose another model")  # fmt: skip
            yield place

    def _fetched(self, places: Iterable[str], folder: Path) -> Iterator[str]:
        for place in places:
            with hub_told(self.name):
                path = hf_hub_download(self.name, place, revision=self.commit, local_dir=folder)
            self.files[place].check(Path(path), f"{self.name}: {place}")
            yield place


def _plain(place: str) -> bool:
    return place.isprintable() and "\\" not in place and ":" not in place


@contextmanager
def _in_words_of(name: str, folder: Path) -> Iterator[None]:
    """Tell what is wrong in the folder, which is about to vanish, as of the repository."""
    try:
        yield
    except DiskTrouble:
        raise
    except BadInput as error:
        raise BadInput(str(error).replace(str(folder), name)) from None


def _checked(folder: Path, name: str) -> str:
    """Fingerprint of a model that opens and is whole.

    Raises:
        BadInput: it is not.
    """
    kind = kind_of(str(folder))
    if kind != "bi-encoder":
        raise BadInput.at(name, expected="an embedding model", found=f"a {kind}", do="choose another")
    fingerprint = load_encoder(folder).fingerprint()
    _check_manifests(folder, fingerprint)
    return fingerprint


def _check_manifests(folder: Path, fingerprint: str) -> None:
    if not (folder / MANIFEST).exists():
        write_manifest(folder, MODEL, {"fingerprint": fingerprint})
    stated: list[tuple[Path, Any]] = [(folder, read_whole(folder, MODEL))]
    if (folder / INDEX).is_dir():
        stated.append((folder / INDEX, read_whole(folder / INDEX, INDEX)))
        if "table" in stated[-1][1]["meta"]:
            raise BadInput.at(folder / INDEX, expected="an index whose table lies in it", found="one that reads a URL",
                              do="choose another")  # fmt: skip
    for place, manifest in stated:
        stated_of = manifest["meta"].get("fingerprint")
        if stated_of != fingerprint:
            raise BadInput.at(place, expected=f"what belongs to the model {fingerprint}", found=f"that of {stated_of}",
                              do="push it again")  # fmt: skip


def _settle(scratch: Path, *, index: bool) -> None:
    """Put the model beside its index, or alone into the folder itself, and flush everything."""
    folder = scratch / FETCHED
    if index:
        (folder / INDEX).rename(scratch / INDEX)
        folder.rename(scratch / MODEL)
    else:
        for entry in list(folder.iterdir()):
            entry.rename(scratch / entry.name)
        folder.rmdir()
    for entry in scratch.rglob("*"):
        sync(entry)
