"""Changes of an index that a service makes for its clients, with the vectors of its own batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from nearfar.core.artifact import read_meta
from nearfar.data.documents import as_documents
from nearfar.index.config import IndexConfig
from nearfar.index.exact import check_space
from nearfar.index.generation import KIND
from nearfar.pipeline import indexing
from nearfar.pipeline.document_rows import Model

if TYPE_CHECKING:
    from nearfar.encoder.encoder import Encoder

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Embedding(Model):
    """A model that is loaded, whose vectors come from elsewhere."""

    embed: Callable[[Sequence[str]], Vectors] | None = None
    tokenizer: Tokenizer | None = None  # of its own: two threads cannot change the settings of one

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """Vectors of documents (n, d)."""
        assert self.embed is not None  # noqa: S101 -- every one is made by `ServedIndex`
        return self.embed(texts)

    def _count(self, texts: Sequence[str]) -> list[int]:
        assert self.tokenizer is not None  # noqa: S101
        return [len(one.ids) for one in self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]


@dataclass(frozen=True)
class ServedIndex:
    """An index that requests may change."""

    path: Path
    encoder: Encoder
    embed: Callable[[Sequence[str]], Vectors]

    def upsert(self, documents: Sequence[Mapping[str, Any]]) -> indexing.Changed:
        """Add documents; those whose id is there are replaced.

        Raises:
            BadInput: one is no document, or comes twice, or another process is changing the index.
            FingerprintMismatch: the index is another model's by now.
        """
        meta = read_meta(self.path, KIND)
        check_space(meta["fingerprint"], self.encoder.fingerprint())
        config = IndexConfig.parse(meta.get("config", {}), str(self.path))
        own = Embedding(None, config, embed=self.embed,
                        tokenizer=Tokenizer.from_str(self.encoder.tokenizer.to_str()))  # fmt: skip
        return indexing.add(self.path, as_documents(documents, "documents"), own)

    def delete(self, ids: Sequence[str]) -> indexing.Changed:
        """Delete the documents of these ids; those that are not there are no error.

        Raises:
            BadInput: another process is changing the index.
        """
        return indexing.delete(self.path, ids)
