"""Found documents, with what the index's table says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nearfar.index.table import DOCUMENT, END, HEADING, ID, OWN, START, TEXT, Table
from nearfar.search.explain import Explanation
from nearfar.search.fusion import PAD, Found


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


def hits_of(table: Table, found: Found) -> list[list[Hit]]:
    """What is known of the documents of each query, read at once."""
    wanted = np.unique(found[0][found[0] != PAD])
    columns = [ID, TEXT, *table.columns, *([DOCUMENT, START, END, HEADING] if table.has_passages else [])]
    read = table.take(wanted, columns).to_pylist() if len(wanted) else []
    known = dict(zip(wanted.tolist(), read, strict=True))
    return [[_hit(known[row], score) for row, score in zip(rows, scores, strict=True) if row != PAD]
            for rows, scores in zip(found[0].tolist(), found[1].tolist(), strict=True)]  # fmt: skip


def _hit(values: Mapping[str, Any], score: float) -> Hit:
    metadata = {name: value for name, value in values.items() if name not in OWN and value is not None}
    if DOCUMENT not in values:
        return Hit(values[ID], score, values[TEXT], metadata)
    span = Span(values[START], values[END], tuple(values[HEADING] or ()))
    return Hit(values[DOCUMENT], score, values[TEXT], metadata, span)
