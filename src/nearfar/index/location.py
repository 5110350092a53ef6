"""Where the table of an index lies: in the index's folder, or on object storage by URL."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import lance
from lance.file import LanceFileSession

from nearfar.core.errors import BadInput
from nearfar.index.unreadable import reached

TABLE = "documents.lance"
VERSIONS, MANIFEST_OF_VERSION, LAST_VERSION = "_versions", ".manifest", (1 << 64) - 1  # Lance's; names count down
SCHEMES = ("s3", "gs", "az", "abfss", "file")

Storage = Mapping[str, str]  # what opens object storage, by Lance's names


@dataclass(frozen=True)
class Location:
    """A place for a table."""

    uri: str  # a path, or a URL
    storage: Storage | None = field(default=None, repr=False)  # secrets are in it: it is never written down

    @classmethod
    def at(cls, url: str, storage: Storage | None = None) -> Self:
        """The place that a URL names.

        Raises:
            BadInput: it names none, or holds a password.
        """
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES or not parts.path.strip("/") + parts.netloc:
            raise BadInput.at("--table", expected=" ".join(f"{scheme}://…" for scheme in SCHEMES), found=f"'{url}'",
                              do="such as s3://bucket/docs or file:///folder/docs")  # fmt: skip
        if parts.scheme == "file" and parts.netloc:
            raise BadInput.at(
                "--table", expected="file:/// and a whole path", found=f"'{url}'", do="such as file:///a/b"
            )
        if parts.password or parts.query or parts.fragment:
            raise BadInput.at("--table", expected="a URL without password, '?' and '#'", found="one with",
                              do="give it by the environment or --storage-option")  # fmt: skip
        return cls(url.rstrip("/"), storage)

    @classmethod
    def of(cls, index: Path, meta: Mapping[str, Any], storage: Storage | None = None) -> Self:
        """Where an index folder with this manifest has its table."""
        return cls.at(str(meta["table"]["url"]), storage) if "table" in meta else cls(str(index / TABLE))

    @property
    def remote(self) -> bool:
        """Whether it is a URL, and no path."""
        return "://" in self.uri

    def open(self, version: int | None = None) -> Any:
        """The dataset at a version, or the newest."""
        return lance.dataset(self.uri, version=version, storage_options=self._options)

    def create(self, documents: Any) -> Any:
        """A dataset of these documents."""
        return lance.write_dataset(documents, self.uri, storage_options=self._options, enable_v2_manifest_paths=True)

    def begun(self) -> bool:
        """Whether there is a version: a process can be stopped in its first write."""
        return any(name.endswith(MANIFEST_OF_VERSION) for name in self._names(VERSIONS))

    def forget_later(self, version: int) -> None:
        """Remove the versions that came after this one."""
        manifests = (name for name in self._names(VERSIONS) if name.endswith(MANIFEST_OF_VERSION))
        self._remove(name for name in manifests if int(Path(name).stem) < LAST_VERSION - version)

    def sizes(self, version: int) -> dict[str, int]:
        """Bytes of each file that is there, whichever version has it; this one must be there."""
        return {file["path"]: file["size_bytes"] for file in self.open(version).all_files().read_all().to_pylist()}

    def check(self, version: int, sizes: Mapping[str, int]) -> None:
        """Refuse a table at a URL of which one of these files is gone, or of another size than it was.

        Raises:
            BadInput: so, or it cannot be reached.
        """
        with reached(self.uri):
            there = self.sizes(version)
        for name, size in sizes.items():
            if there.get(name) != size:
                found = f"{there[name]:,}" if name in there else "none"
                raise BadInput.at(f"{self.uri}/{name}", expected=f"{size:,} bytes", found=found,
                                  do="build the index again")  # fmt: skip

    def leave_only(self, names: Collection[str], version: int) -> int:
        """Remove everything but these files of a version; how many bytes that freed."""
        rest = {name: size for name, size in self.sizes(version).items() if name not in names}
        self._remove(rest)
        return sum(rest.values())

    def drop(self) -> None:
        """Remove everything; a process that is stopped meanwhile leaves no table whose files are gone."""
        self._remove(sorted(self._names(), key=lambda name: not name.startswith(VERSIONS)))

    @property
    def _options(self) -> dict[str, str] | None:
        return dict(self.storage) if self.storage else None

    @property
    def _session(self) -> LanceFileSession:
        return LanceFileSession(self.uri, storage_options=self._options)

    def _names(self, folder: str | None = None) -> list[str]:
        if self.remote:
            return list(self._session.list(folder))
        files = (Path(self.uri) / (folder or "")).rglob("*")
        return [file.relative_to(self.uri).as_posix() for file in files if file.is_file()]

    def _remove(self, names: Iterable[str]) -> None:
        session = self._session if self.remote else None
        for name in names:
            if session is None:
                (Path(self.uri) / name).unlink()
            else:
                session.delete_file(name)
