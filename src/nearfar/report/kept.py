"""What verbs leave in a run for its pages: scores of queries, the doctor's findings, the plan, what codes keep."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from nearfar.core.artifact import write_json
from nearfar.core.errors import BadInput
from nearfar.core.plain_arrays import archived_arrays
from nearfar.core.plain_file import plain_json
from nearfar.diagnose.finding import SEVERITY, Finding
from nearfar.report.filters import amount
from nearfar.report.plan_contents import PlanData, made_of, plan_of

FINDINGS, PLAN = "doctor.json", "plan.json"  # in a run folder
DOCTOR = "nearfar doctor model RUN"  # that leaves them
SCORES = "data/per_query.npz"  # in a run: "queries" (rows of the data), and "SYSTEM/METRIC" of each test query
CODES, MEASURED = "codes", "measured.json"  # in the folder of codes of each size

T = TypeVar("T")
Scores = Mapping[str, NDArray[np.float64]]  # by SYSTEM/METRIC, each (Q,)


class Named(NamedTuple):
    """Texts of the data in the examples of a failure."""

    documents: tuple[str, ...]  # ids
    queries: tuple[str, ...]


FINDING, NAMED = TypeAdapter(Finding), TypeAdapter(dict[str, Named])


def keep(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record; a number that is not finite is null, because JSON has no word for it.

    Raises:
        BadInput: the disk cannot take it.
    """
    write_json(path, json.loads(json.dumps(record, default=str), parse_constant=lambda _: None))


def scores(run: Path) -> Scores:
    """Scores of each test query, and which queries they are.

    Raises:
        BadInput: the run has none that can be read.
    """
    try:
        found = archived_arrays(run / SCORES)
        if any(part.shape != found["queries"].shape or part.dtype.kind not in "iuf" for part in found.values()):
            raise ValueError("arrays of other lengths")
    except (BadInput, KeyError, ValueError):
        raise BadInput.at(run.name, expected=f"{SCORES}, the scores of its test queries", found="none",
                          do="choose a finished run, or train again") from None  # fmt: skip
    return found


def findings(run: Path) -> tuple[Finding, ...]:
    """The doctor's findings; none where it has not looked at the run.

    Raises:
        BadInput: what it left cannot be read.
    """
    as_findings = lambda record: tuple(map(_finding, record["findings"]))  # noqa: E731
    return _read(run / FINDINGS, as_findings, DOCTOR) or ()


def found_in(run: Path) -> str:
    """Fingerprint of the model that the findings are of: a run that goes on may have another one by now.

    Raises:
        BadInput: what the doctor left cannot be read.
    """
    return _read(run / FINDINGS, lambda record: str(record.get("fingerprint", "")), DOCTOR) or ""


def named(run: Path) -> Mapping[str, Named]:
    """What is in the examples of each failure, the worst failure last; nothing of what other data are examples of.

    Raises:
        BadInput: what the doctor left cannot be read.
    """
    found = _read(run / FINDINGS, lambda record: NAMED.validate_python(record.get("named", {})), DOCTOR) or {}
    worst_last = sorted(findings(run), key=lambda finding: ("unknown", *SEVERITY).index(finding.verdict))
    return {finding.failure: found[finding.failure] for finding in worst_last
            if finding.failure in found and any(found[finding.failure])}  # fmt: skip


def frontier(run: Path) -> PlanData | None:
    """Quality against bytes: what the last plan measured, with the codes that were made; None where there is neither.

    Raises:
        BadInput: what a verb left cannot be read.
    """
    plan = _read(run / PLAN, plan_of, "nearfar plan RUN")
    places = sorted((run / CODES).glob(f"*/{MEASURED}"))
    made = [found for place in places if (found := _read(place, made_of, "nearfar compress RUN --overwrite"))]
    if plan is None and not made:
        return None
    plan = plan or replace(made[-1], rows=())
    rows = {(row.codec, row.size_bytes): row for row in plan.rows}
    for row in (row for part in made for row in part.rows):
        known = rows.get((row.codec, row.size_bytes), row)
        size = amount(plan.documents * row.size_bytes)
        rows[row.codec, row.size_bytes] = replace(known, kept=row.kept, codes_size=size, made=True)
    return replace(plan, rows=tuple(sorted(rows.values(), key=lambda row: (row.size_bytes, -row.kept.value))))


def _read(path: Path, build: Callable[[Any], T], verb: str) -> T | None:
    try:
        return build(plain_json(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadInput.at(path, expected="what a verb left", found=f"another content ({type(error).__name__})",
                          do=f"make it again: {verb}") from None  # fmt: skip


def _finding(record: Mapping[str, Any]) -> Finding:
    """A finding as it was; a figure that is null is not a number."""
    figures = {name: float("nan") if value is None else value for name, value in record["figures"].items()}
    examples = [{name: value for name, value in one.items() if value is not None} for one in record["examples"]]
    return FINDING.validate_python({**record, "figures": figures, "examples": examples})
