"""Runs in a folder as the page shows them: what was measured, how training goes, and the pages beside."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from nearfar.core.artifact import MANIFEST, read_meta
from nearfar.core.errors import BadInput
from nearfar.core.plain_file import plain_json
from nearfar.serve.kept import FindingShown, FrontierShown, findings_in, frontier_in

RECORD, STARTED, LINES = "run.json", "started.json", ".jsonl"
PAGES = ("report.html", "doctor.html", "plan.html")  # that nearfar's verbs write into a run folder
MOST_POINTS = 1000  # of a curve
MOST_BYTES = 64 << 20  # of a file of curves

Curve = list[tuple[float, float]]  # (step, value)


class Estimate(BaseModel):
    """How much better the model is than another system, with its interval."""

    model_config = ConfigDict(allow_inf_nan=False)

    difference: float
    low: float
    high: float
    p_value: float


class Record(BaseModel):
    """What of run.json the page shows."""

    model_config = ConfigDict(allow_inf_nan=False)

    verdict: str = ""
    better: bool | None = None
    metrics: dict[str, dict[str, float]] = {}
    """Of each system, the main one first."""
    comparisons: dict[str, Estimate] = {}
    train_seconds: float | None = None


class RunSummary(Record):
    """A run in the list."""

    name: str
    state: Literal["finished", "unfinished", "damaged"]
    changed: float
    """Seconds since 1970 of the last sign of it."""
    pages: list[str]
    """What lies beside it as HTML."""


class Codes(BaseModel):
    """Compressed documents of a run."""

    codec: str
    bytes: int
    documents: int
    error: float | None = None


class RunDetail(RunSummary):
    """A run with its curves, findings and codes."""

    curves: dict[str, Curve]
    alarms: list[tuple[int, str, str]]
    """Step, failure and reason of what was seen while it trained."""
    codes: list[Codes]
    findings: list[FindingShown]
    """Of the doctor, in its order; none where it has not looked."""
    frontier: FrontierShown | None
    """What codes keep of the quality, as far as it was measured."""


def is_run(path: Path) -> bool:
    """Whether a folder is of a run, finished or not."""
    return any((path / name).is_file() for name in (RECORD, STARTED))


def runs_in(folder: Path) -> dict[str, Path]:
    """The run folders in a folder by their names, which is all that a request can name."""
    return {path.name: path for path in sorted(folder.iterdir()) if is_run(path)}


def summary(path: Path) -> RunSummary:
    """A run as it is in the list."""
    record, is_whole = _record(path)
    state: Any = "damaged" if not is_whole else "finished" if record else "unfinished"
    pages = [name for name in PAGES if (path / name).is_file()]
    values = _valid(record)
    return RunSummary(**values, name=path.name, state=state, changed=max(map(_time, _signs(path))), pages=pages)


def detail(path: Path) -> RunDetail:
    """A run with how its training went, or goes."""
    record, _ = _record(path)
    progress = record or _progress(path)
    curves = _written(path) if not record else {}
    losses = [(float(step), loss) for step, loss in enumerate(_numbers(progress.get("losses")), 1)]
    known: dict[str, Curve] = {"train/loss": losses, "dev": _pairs(progress.get("dev"))}
    curves = curves or {name: curve for name, curve in known.items() if curve}
    alarms = [(int(step), str(failure), str(reason)) for step, failure, reason in _rows(progress.get("alarms"), 3)]
    return RunDetail(**summary(path).model_dump(), curves={name: _thinned(curve) for name, curve in curves.items()},
                     alarms=alarms, codes=list(_codes(path)), findings=findings_in(path),
                     frontier=frontier_in(path))  # fmt: skip


def _record(path: Path) -> tuple[dict[str, Any], bool]:
    """The record of a finished run, empty of another; and whether it could be read."""
    try:
        return dict(plain_json(path / RECORD)), True
    except FileNotFoundError:
        return {}, True
    except (OSError, ValueError, TypeError):
        return {}, False


def _valid(record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are as they should be."""
    kept = {}
    for name in Record.model_fields:
        with suppress(ValidationError):
            kept[name] = getattr(Record(**{name: record[name]}) if name in record else Record(), name)
    return kept


def _signs(path: Path) -> Iterator[Path]:
    """Files that change as a run goes on."""
    yield path
    yield from (path / name for name in (RECORD, STARTED))
    yield from (path / "checkpoints").rglob(MANIFEST)
    yield from _curves_file(path)


def _time(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _curves_file(path: Path) -> Iterator[Path]:
    """The file of curves that a run was started with, if it had one."""
    with suppress(OSError, ValueError, AttributeError, TypeError):
        named = plain_json(path / STARTED).get("curves")
        if str(named).endswith(LINES) and Path(named).is_file():
            yield Path(named)


def _written(path: Path) -> dict[str, Curve]:
    """The curves of a file of lines, each number by its name; a line that is being written is left out."""
    curves: dict[str, Curve] = {}
    for file in _curves_file(path):
        with suppress(OSError), file.open("rb") as opened:
            for line in opened.read(MOST_BYTES).splitlines():
                with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
                    values = json.loads(line)
                    for name, value in values.items():
                        if name not in {"step", "seconds"}:
                            curves.setdefault(name, []).append((float(values["step"]), float(value)))
    return curves


def _progress(path: Path) -> Mapping[str, Any]:
    """Where the last checkpoint of a run that trains is."""
    for manifest in sorted((path / "checkpoints").rglob(f"step-*/{MANIFEST}"), key=_time, reverse=True):
        with suppress(BadInput, KeyError, TypeError):  # it is replaced by the next at any time
            return dict(read_meta(manifest.parent, "checkpoint")["state"]["progress"])
    return {}


def _numbers(values: Any) -> list[float]:
    return [float(value) for value in values or () if isinstance(value, int | float)]


def _pairs(values: Any) -> Curve:
    return [(float(step), float(value)) for step, value in _rows(values, 2) if isinstance(value, int | float)]


def _rows(values: Any, length: int) -> list[Any]:
    """The rows that begin with a step and are so long."""
    rows = [row for row in values or () if isinstance(row, list) and len(row) == length]
    return [row for row in rows if isinstance(row[0], int | float)]


def _thinned(curve: Iterable[tuple[float, float]]) -> Curve:
    """At most so many points, each the mean of those that follow on one another, and none that is no number."""
    points = np.array(list(curve), np.float64).reshape(-1, 2)
    points = points[np.isfinite(points).all(axis=1)]
    parts = np.array_split(points, MOST_POINTS) if len(points) > MOST_POINTS else [row[None] for row in points]
    return [(float(step), float(value)) for step, value in (part.mean(axis=0) for part in parts)]


def _codes(path: Path) -> Iterator[Codes]:
    for manifest in sorted((path / "codes").glob(f"*/{MANIFEST}"), key=lambda found: (len(found.parent.name), found)):
        with suppress(BadInput, ValidationError):
            yield Codes(**read_meta(manifest.parent, "codes"))
