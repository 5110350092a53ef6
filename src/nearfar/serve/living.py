"""The index that answers: opened again when another process has changed it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

from nearfar.core.artifact import MANIFEST
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.sparse import SparseModel
from nearfar.index.exact import check_space
from nearfar.search.config import SearchConfig
from nearfar.search.index import Index

Stamp = tuple[int, int]


@dataclass
class LivingIndex:
    """An index folder and the generation of it that was seen last."""

    path: Path
    encoder: Encoder
    config: SearchConfig
    opened: Index
    stamp: Stamp
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def open(cls, path: Path, encoder: Encoder, config: SearchConfig | None = None) -> LivingIndex:
        """Open the index of a folder.

        Raises:
            BadInput: there is none, or it is damaged.
            FingerprintMismatch: the encoder is not the one the index was made with.
        """
        config, stamp = config or SearchConfig(), _stamp(path)
        return cls(path, encoder, config, _opened(path, encoder, config), stamp)

    @property
    def is_stale(self) -> bool:
        """Whether the index on disk is another than the one that was seen last."""
        return _stamp(self.path) != self.stamp

    def now(self) -> Index:
        """The index as it is on disk, which may have to be read; the one before, where another thread is reading it."""
        stamp = _stamp(self.path)
        if stamp != self.stamp and self.lock.acquire(blocking=False):
            try:
                self.opened = _opened(self.path, self.encoder, self.config, self.opened.sparse_model)
                self.stamp = stamp
            finally:
                self.lock.release()
        return self.opened


def _stamp(path: Path) -> Stamp:
    """Changes when the manifest is replaced, which is how an index changes."""
    found = (path / MANIFEST).stat()
    return found.st_ino, found.st_mtime_ns


def _opened(path: Path, encoder: Encoder, config: SearchConfig, sparse: SparseModel | None = None) -> Index:
    index = Index.open(path, encoder, config=config, sparse=sparse)
    check_space(index.generation.fingerprint, index.fingerprint)
    return index
