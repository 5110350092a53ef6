"""Which column of the user's table is the query, the positive, the negative, the score and so on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from nearfar.data.bad_row import BadRow
from nearfar.data.config import FieldName

KNOWN: Mapping[FieldName, tuple[str, ...]] = {
    "query": ("query", "anchor", "question", "sentence1"),
    "positive": ("positive", "positives", "document", "answer", "passage", "sentence2", "text_pair"),
    "negative": ("negative", "negatives"),
    "score": ("score", "label", "similarity"),
    "group": ("group",),
    "source": ("source",),
    "task": ("task",),
    "text": ("text", "sentence", "query", "question"),
    "label": ("label", "intent", "category", "class"),
}
Kind = Literal["pairs", "labelled"]
LABELLED: tuple[FieldName, ...] = ("text", "label")
FIELDS: Mapping[Kind, tuple[FieldName, ...]] = {
    "pairs": tuple(field for field in KNOWN if field not in LABELLED),
    "labelled": LABELLED,
}
NUMBERED = re.compile(r"(positive|negative)_\d+")


class Layout(NamedTuple):
    """The column of each field in one table; "" where there is none, as in labelled texts all but the last two."""

    query: str = ""
    positives: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()
    score: str = ""
    group: str = ""
    source: str = ""
    task: str = ""
    text: str = ""
    label: str = ""

    @property
    def used(self) -> list[str]:
        """The columns that hold anything nearfar reads."""
        singles = (self.query, self.score, self.group, self.source, self.task, self.text, self.label)
        return [name for name in (*singles, *self.positives, *self.negatives) if name]


class Columns:
    """Finds the fields of one kind of table among column names, the user's own mapping first."""

    def __init__(self, mapping: Mapping[FieldName, str], kind: Kind = "pairs") -> None:
        self._mapping = mapping
        self._kind = kind
        self._layouts: dict[tuple[str, ...], Layout] = {}

    def layout(self, names: Sequence[str]) -> Layout:
        """The layout of a table with these columns; remembered, as JSONL asks once a row.

        Raises:
            BadRow: no column, or more than one, fits a field that must be there.
        """
        key = tuple(names)
        if key not in self._layouts:
            self._layouts[key] = self._find_all(key)
        return self._layouts[key]

    def _find_all(self, names: tuple[str, ...]) -> Layout:
        self._refuse_others()
        if self._kind == "labelled":
            return Layout(text=self._required("text", names), label=self._required("label", names))
        fields = (field for field in FIELDS["pairs"] if field not in ("positive", "negative"))
        single = {field: self._one(field, names) for field in fields}
        positives, negatives = self._many("positive", names), self._many("negative", names)
        if not single["query"]:
            raise _missing("query", names)
        if not positives:
            raise _missing("positive", names)
        return Layout(positives=positives, negatives=negatives, **single)

    def _refuse_others(self) -> None:
        known = FIELDS[self._kind]
        if other := next((field for field in self._mapping if field not in known), None):
            raise BadRow(expected=f"columns for {', '.join(known)}", found=f"one for {other}",
                         do=f"leave 'columns.{other}' out")  # fmt: skip

    def _required(self, field: FieldName, names: tuple[str, ...]) -> str:
        if not (found := self._one(field, names)):
            raise _missing(field, names)
        return found

    def _one(self, field: FieldName, names: tuple[str, ...]) -> str:
        found = self._candidates(field, names)
        if len(found) > 1:
            raise _ambiguous(field, found)
        return found[0] if found else ""

    def _many(self, field: FieldName, names: tuple[str, ...]) -> tuple[str, ...]:
        found = self._candidates(field, names)
        numbered = tuple(name for name in self._free(names) if _numbered(name) == field)
        if len(found) > 1:
            raise _ambiguous(field, found)
        return found if field in self._mapping else found + numbered

    def _candidates(self, field: FieldName, names: tuple[str, ...]) -> tuple[str, ...]:
        if field in self._mapping:
            return (self._mapped(field, names),)
        return tuple(name for name in self._free(names) if name.casefold() in KNOWN[field])

    def _mapped(self, field: FieldName, names: tuple[str, ...]) -> str:
        wanted = self._mapping[field]
        near = [name for name in names if name.casefold() == wanted.casefold()]
        if wanted not in names and len(near) != 1:
            raise BadRow(
                expected=f"a column '{wanted}' for {field}", found=_listed(names), do=f"change 'columns.{field}'"
            )
        return wanted if wanted in names else near[0]

    def _free(self, names: tuple[str, ...]) -> list[str]:
        taken = {name.casefold() for name in self._mapping.values()}
        return [name for name in names if name.casefold() not in taken]


def _numbered(name: str) -> str:
    match = NUMBERED.fullmatch(name.casefold())
    return match[1] if match else ""


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:12])
    return f"columns {shown}{', …' if len(names) > 12 else ''}" if names else "no columns"


def _missing(field: FieldName, names: Sequence[str]) -> BadRow:
    known = "/".join(KNOWN[field])
    return BadRow(
        expected=f"a {field} column ({known})", found=_listed(names), do=f"map it with 'columns: {{{field}: NAME}}'"
    )


def _ambiguous(field: FieldName, names: Sequence[str]) -> BadRow:
    return BadRow(
        expected=f"one {field} column", found=_listed(names), do=f"choose with 'columns: {{{field}: {names[0]}}}'"
    )
