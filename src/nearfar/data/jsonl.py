"""JSON lines: one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nearfar.core.errors import excerpt
from nearfar.data.bad_row import BadRow
from nearfar.data.intake import Intake, Row
from nearfar.data.lines import lines


def read_jsonl(path: Path, intake: Intake) -> Iterator[Row]:
    """Yield one row for each line that is not blank."""
    for number, line in lines(path, intake):
        if not line or line.isspace():
            continue
        try:
            yield Row(number, object_of(line))
        except BadRow as bad:
            intake.refuse(path, number, bad)


def object_of(line: str) -> dict[str, Any]:
    """The JSON object of a line.

    Raises:
        BadRow: it is none.
    """
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise _no_json(f"{error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets without end
        raise _no_json(str(error)) from None
    if not isinstance(value, dict):
        raise BadRow(expected="a JSON object", found=excerpt(line), do='write one, {"name": "value"}, on each line')
    return value


def _no_json(problem: str) -> BadRow:
    return BadRow(expected="JSON", found=f"bad JSON ({problem})", do="write one whole object on each line")
