"""Filters: an expression over the columns of metadata becomes a filter of a Lance scanner (docs/filters.md).

Every part of an expression is true or false, also where a value is missing. SQL has a third value, unknown; Lance keeps
a row where the filter is true. `and` and `or` let no unknown become true, so only `not` needs care: it is carried down
to the conditions, where it is written as `not (…) or the value is missing`.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from nearfar.core.config import nearest
from nearfar.index.filter_kinds import INTERNAL, REAL, VECTOR, Column, columns
from nearfar.index.filter_syntax import Condition, Node, Not, Token, parsed

OTHER = {"and": "or", "or": "and"}


def compiled(expression: str, schema: pa.Schema) -> str:
    """`expression` as SQL for a Lance scanner over a dataset of this schema; of it, only literals reach the SQL.

    Put the result in parentheses to join it with other SQL.

    Raises:
        BadInput: the expression is no filter, is too large, or does not fit the columns; names the character.
    """
    return _sql(parsed(expression), columns(schema), negated=False)


def _sql(node: Node, known: Mapping[str, Column], *, negated: bool) -> str:
    if isinstance(node, Not):
        return _sql(node.part, known, negated=not negated)
    if isinstance(node, Condition):
        return _condition(node, _column(node.field, known), negated=negated)
    word = OTHER[node.word] if negated else node.word
    joined = f" {word} ".join(_sql(part, known, negated=negated) for part in node.parts)
    return f"({joined})" if word == "or" else joined


def _condition(condition: Condition, column: Column, *, negated: bool) -> str:
    missing = f"{column.sql} is null"
    if condition.operator == "is missing":
        asked = f"({missing} or isnan({column.sql}))" if column.kind is REAL else missing
        return f"not ({asked})" if negated else asked
    asked = _asked(condition, column)
    return f"(not ({asked}) or {missing})" if negated else asked


def _asked(condition: Condition, column: Column) -> str:
    name, operator, values = column.sql, condition.operator, _literals(condition, column)
    listed = ", ".join(values)
    calls = {
        "in": f"{name} in ({listed})",
        "contains": f"contains(lower({name}), lower({listed}))",
        "starts with": f"starts_with({name}, {listed})",
        "has": f"array_has({name}, {listed})",
        "has any": f"array_has_any({name}, [{listed}])",
        "has all": f"array_has_all({name}, [{listed}])",
    }
    compared = calls.get(operator, f"{name} {operator} {listed}")
    ordered = column.kind is REAL and operator not in {"=", "in"}
    return f"{compared} and not isnan({name})" if ordered else compared  # Lance has NaN above every number


def _literals(condition: Condition, column: Column) -> list[str]:
    kind = column.kind
    if kind is None:
        do = f"ask only that: '{column.name}' is {column.type}, which filters cannot compare"
        raise condition.sign.wrong("is missing or is present", do)
    if condition.operator not in kind.operators:
        asked = ", ".join((*kind.operators, "is missing or is present"))
        raise condition.sign.wrong(asked, f"use one of those: '{column.name}' holds {kind.name}")
    return [kind.literal(value, column) for value in condition.values]


def _column(field: Token, known: Mapping[str, Column]) -> Column:
    if field.value in known:
        return known[field.value]
    if field.value == VECTOR or field.value.startswith(INTERNAL):
        raise field.wrong("id, text or a field of metadata", "vectors and columns of the index itself have no filters")
    meant = next((name for name in known if name.casefold() == field.value.casefold()), field.value)
    raise field.wrong("a field of the index", nearest(meant, list(known)))
