"""Documents as rows of an index: whole or in passages, with their metadata, and what the index's own models say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from nearfar.core.errors import BadInput, FingerprintMismatch
from nearfar.data.documents import Document
from nearfar.index.building import batch_of
from nearfar.index.columns import column, fields_of
from nearfar.index.config import IndexConfig
from nearfar.index.generation import Generation
from nearfar.index.table import (
    DOCUMENT,
    END,
    HEADING,
    ID,
    OWN,
    START,
    TEXT,
    TOKENS,
    VECTOR,
    WEIGHTS,
    passage_fields,
    schema_of,
)
from nearfar.pipeline.encoded import Encoded, Vectors
from nearfar.pipeline.place import Place
from nearfar.search.sparse import own_sparse
from nearfar.text.kinds import kind_of
from nearfar.text.passages import Passage, PassageConfig, passages

if TYPE_CHECKING:
    from nearfar.encoder.encoder import Encoder
    from nearfar.encoder.precision import Policy
    from nearfar.encoder.sparse import SparseModel


@dataclass(frozen=True)
class Model:
    """The model of an index and its sparse encoder, loaded when they are needed."""

    name: str | Path | None  # None: of an index that lies in no run
    config: IndexConfig
    index: Generation | None = None  # one that is there, to which they must belong
    sparse_name: str | Path | None = None  # None: what the index remembers

    @classmethod
    def of(cls, place: Place, name: str | Path | None, index: Generation, sparse: str | Path | None = None) -> Model:
        """The models that are named, which are loaded now, or that of the index's run and what the index remembers.

        Raises:
            BadInput: it cannot be loaded.
            FingerprintMismatch: it is another one than the index's.
        """
        beside = place.run / "model" if place.run else None
        model = cls(name or beside, index.config, index, sparse)
        if name is not None:
            _ = model.encoder
        if sparse is not None:
            _ = model.sparse
        return model

    @cached_property
    def encoder(self) -> Encoder:
        """The model, loaded.

        Raises:
            BadInput: there is none, or it cannot be.
            FingerprintMismatch: it is another one than the index's.
        """
        from nearfar.encoder.load import load_encoder  # noqa: PLC0415, torch, which most changes do not need

        if self.name is None:
            raise BadInput.at(self.index.path if self.index else "model", expected="the model of the index",
                              found="none named, and none beside it", do="give --model")  # fmt: skip
        encoder = load_encoder(self.name, self._policy.device)
        if self.index is not None and (found := encoder.fingerprint()) != self.index.fingerprint:
            where, own = self.index.path, self.index.fingerprint
            raise FingerprintMismatch(f"{where}: expected its own model {own}, found {found}; give that one, or make "
                                      f"another index: nearfar index build --from {where} --model …")  # fmt: skip
        return encoder

    @cached_property
    def sparse(self) -> SparseModel | None:
        """The sparse encoder, loaded; None where the index has none.

        Raises:
            BadInput: it cannot be loaded.
            FingerprintMismatch: it is another one than the index's.
        """
        from nearfar.encoder.sparse import load_sparse  # noqa: PLC0415

        if self.index is not None:
            return own_sparse(self.index, self.sparse_name, self._policy.device)
        return load_sparse(self.config.sparse, self._policy.device) if self.config.sparse else None

    @cached_property
    def _policy(self) -> Policy:
        from nearfar.encoder.precision import choose_policy  # noqa: PLC0415

        return choose_policy()

    def encode(self, texts: Sequence[str]) -> Encoded:
        """What they say of documents."""
        weights = self.sparse.encode(texts, "document", self._policy) if self.config.sparse and self.sparse else None
        return Encoded(self.vectors(texts), weights)

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """Vectors of documents (n, d)."""
        from nearfar.encoder.encode import encode  # noqa: PLC0415

        return encode(self.encoder, texts, "document", self._policy)

    def cut(self, text: str, name: str) -> list[Passage]:
        """Passages of a document of that id, of as many of the model's tokens as the index has."""
        return passages(text, kind=kind_of(name), config=PassageConfig(limit=self.config.passages), count=self._count)

    def _count(self, texts: Sequence[str]) -> list[int]:
        return [len(one.ids) for one in self.encoder.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]


@dataclass
class Rows:
    """Documents as rows of an index's table."""

    model: Model
    fields: dict[str, Any] = field(default_factory=dict)  # columns of metadata so far, by name

    @classmethod
    def like(cls, schema: pa.Schema | None, model: Model) -> Rows:
        """Rows of a table that is there."""
        return cls(model, {one.name: one for one in schema or () if one.name not in OWN})

    def of(self, documents: Sequence[Document], encoded: Encoded | None = None) -> pa.Table:
        """Ids, texts, metadata, and what the models say of the texts, or what is given of that."""
        for one in documents:
            if not one.whole:
                raise BadInput.at(one.where, expected="a text", found="none", do="write one, or leave it out")
        ids, metadata = [one.id for one in documents], [one.metadata for one in documents]
        new = [{name: value for name, value in row.items() if name not in self.fields} for row in metadata]
        self.fields |= {one.name: one for one in fields_of(new, ids)}
        columns: dict[str, Any] = {name: column(metadata, one, ids) for name, one in self.fields.items()}
        if documents[0].passage:  # of another index, cut already
            columns |= _columns([{ID: one.id, TEXT: one.whole, **(one.passage or {})} for one in documents])
        elif not self.model.config.passages:
            columns |= {ID: pa.array(ids, pa.string()), TEXT: pa.array([one.whole for one in documents], pa.string())}
        else:
            cuts = [self.model.cut(one.whole, one.id) for one in documents]
            places = np.repeat(np.arange(len(cuts)), [len(cut) for cut in cuts])
            columns = {name: values.take(pa.array(places)) for name, values in columns.items()}
            columns |= _columns([row for one, cut in zip(documents, cuts, strict=True) for row in _passages(one, cut)])
        said = encoded or self.model.encode([str(text) for text in columns[TEXT].to_pylist()])
        own = [*(passage_fields() if DOCUMENT in columns else []), *said.fields]
        return batch_of(columns | said.columns(), schema_of(said.vectors.shape[1], [*own, *self.fields.values()]))

    def first_other(self, documents: Sequence[Document], kept: pa.Table) -> int | None:
        """Place of the first document that is not as it was kept, or is lacking; None where all are."""
        again = self.of(documents, Encoded.stored(kept.slice(0, len(documents))))
        encoded = [name for name in (VECTOR, TOKENS, WEIGHTS) if name in kept.schema.names]
        new, old = (table.drop_columns(encoded).to_pylist() for table in (again, kept))
        pairs = enumerate(zip_longest(map(_filled, new), map(_filled, old)))
        return next((place for place, (one, other) in pairs if one != other), None)


def _filled(row: Mapping[str, Any]) -> dict[str, Any]:
    """Without what a column that came later leaves out: missing values, and lists of nothing, which have no type."""
    return {name: value for name, value in row.items() if value not in (None, [])}


def _passages(document: Document, cut: Sequence[Passage]) -> list[dict[str, Any]]:
    """A row for each passage: its text is that with its context, which is what is encoded."""
    return [{ID: f"{document.id}#{number}", TEXT: passage.embedded(document.whole), DOCUMENT: document.id,
             START: passage.start, END: passage.end, HEADING: list(passage.heading)}
            for number, passage in enumerate(cut)]  # fmt: skip


def _columns(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    types = {ID: pa.string(), TEXT: pa.string(), **{one.name: one.type for one in passage_fields()}}
    return {name: pa.array([row[name] for row in rows], type_) for name, type_ in types.items()}
