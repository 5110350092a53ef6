"""Documents as rows of an index: whole or in passages, with their metadata, and vectors of the index's own model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

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
    VECTOR,
    column_of,
    numbers,
    passage_fields,
    schema_of,
)
from nearfar.pipeline.place import Place
from nearfar.text.kinds import kind_of
from nearfar.text.passages import Passage, PassageConfig, passages

if TYPE_CHECKING:
    from nearfar.encoder.encoder import Encoder
    from nearfar.encoder.precision import Policy

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Model:
    """The model of an index, loaded when it is needed."""

    name: str | Path | None  # None: of an index that lies in no run
    config: IndexConfig
    wanted: tuple[str, str] | None = None  # an index, and the fingerprint of its model

    @classmethod
    def of(cls, place: Place, name: str | Path | None, index: Generation) -> Model:
        """The model that is named, which is loaded now, or that of the index's run.

        Raises:
            BadInput: it cannot be loaded.
            FingerprintMismatch: it is another one than the index's.
        """
        beside = place.run / "model" if place.run else None
        model = cls(name or beside, index.config, (str(place.index), index.fingerprint))
        if name is not None:
            _ = model.encoder
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
            raise BadInput.at(self.wanted[0] if self.wanted else "model", expected="the model of the index",
                              found="none named, and none beside it", do="give --model")  # fmt: skip
        encoder = load_encoder(self.name, self._policy.device)
        if self.wanted is not None and (found := encoder.fingerprint()) != self.wanted[1]:
            index, own = self.wanted
            raise FingerprintMismatch(f"{index}: expected its own model {own}, found {found}; give that one, or make "
                                      f"another index: nearfar index build --from {index} --model …")  # fmt: skip
        return encoder

    @cached_property
    def _policy(self) -> Policy:
        from nearfar.encoder.precision import choose_policy  # noqa: PLC0415

        return choose_policy()

    def encode(self, texts: Sequence[str]) -> Vectors:
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

    def of(self, documents: Sequence[Document], vectors: Vectors | None = None) -> pa.Table:
        """Ids, texts, metadata, and vectors (n, d): those given, or those of the texts."""
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
        vectors = self.model.encode([str(text) for text in columns[TEXT].to_pylist()]) if vectors is None else vectors
        own = passage_fields() if DOCUMENT in columns else []
        return batch_of(
            columns | {VECTOR: column_of(vectors)}, schema_of(vectors.shape[1], [*own, *self.fields.values()])
        )

    def first_other(self, documents: Sequence[Document], kept: pa.Table) -> int | None:
        """Place of the first document that is not as it was kept, or is lacking; None where all are."""
        again = self.of(documents, numbers(kept[VECTOR])[: len(documents)])
        new, old = (table.drop_columns([VECTOR]).to_pylist() for table in (again, kept))
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
