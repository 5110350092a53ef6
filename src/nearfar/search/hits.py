"""Found documents, with what the index's table says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nearfar.core.errors import BadInput, excerpt
from nearfar.core.unicode import check_encodable
from nearfar.index.table import DOCUMENT, END, HEADING, ID, OWN, START, TEXT, Table
from nearfar.report.notebook import hits_html
from nearfar.search.explain import Explanation
from nearfar.search.fusion import PAD, Found


class UnknownDocument(BadInput):
    """There is no document of that id."""


@dataclass(frozen=True)
class Span:
    """Where a passage lies in its document."""

    start: int  # characters
    end: int
    heading: tuple[str, ...]  # above it, outermost first


@dataclass(frozen=True)
class Hit:
    """One found document."""

    id: str
    score: float  # similarity of the model, of words, or what fusion or a reranker made of them
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    passage: Span | None = None  # of the document, where the index is one of passages; `text` is that with its context
    explanation: Explanation | None = None


class Hits(list[Hit]):
    """Found documents, best first."""

    def _repr_html_(self) -> str:
        """In a notebook."""
        return hits_html((hit.id, hit.score, hit.text, hit.metadata) for hit in self)


def hits_of(table: Table, found: Found) -> list[Hits]:
    """What is known of the documents of each query, read at once."""
    wanted = np.unique(found[0][found[0] != PAD])
    columns = [ID, TEXT, *table.columns, *([DOCUMENT, START, END, HEADING] if table.has_passages else [])]
    read = table.take(wanted, columns).to_pylist() if len(wanted) else []
    known = dict(zip(wanted.tolist(), read, strict=True))
    return [Hits(_hit(known[row], score) for row, score in zip(rows, scores, strict=True) if row != PAD)
            for rows, scores in zip(found[0].tolist(), found[1].tolist(), strict=True)]  # fmt: skip


def row_of(table: Table, id_: str) -> int:
    """Row of the document of an id, or of the passage of one.

    Raises:
        UnknownDocument: there is none.
    """
    check_encodable([id_], "id")
    row = int(table.rows_of([id_])[0])
    if row < 0:
        raise _unknown(id_)
    return row


def document_of(table: Table, id_: str) -> Hit:
    """A document whole, its passages one after another.

    Raises:
        UnknownDocument: there is none of that id.
    """
    check_encodable([id_], "id")
    rows = table.rows_of_documents([id_])
    if not len(rows):
        raise _unknown(id_)
    found = (rows[None].astype(np.int32), np.zeros((1, len(rows)), np.float32))
    first, *rest = hits_of(table, found)[0]
    return replace(first, text="\n\n".join([first.text, *(hit.text for hit in rest)]), passage=None)


def _unknown(id_: str) -> BadInput:
    return UnknownDocument.at("id", expected="a document of the index", found=excerpt(id_), do="check it")


def _hit(values: Mapping[str, Any], score: float) -> Hit:
    metadata = {name: value for name, value in values.items() if name not in OWN and value is not None}
    if DOCUMENT not in values:
        return Hit(values[ID], score, values[TEXT], metadata)
    span = Span(values[START], values[END], tuple(values[HEADING] or ()))
    return Hit(values[DOCUMENT], score, values[TEXT], metadata, span)
