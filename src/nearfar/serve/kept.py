"""What the doctor, `plan` and `compress` left in a run, as the page shows it."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from nearfar.core.errors import BadInput
from nearfar.diagnose.finding import Finding, Verdict
from nearfar.report import kept
from nearfar.report.filters import measured, numbers, patch, shorten, side, texts
from nearfar.report.plan_contents import PlanData


class FigureShown(BaseModel):
    """A figure of a finding, beside where it begins to be watched and where it fails."""

    model_config = ConfigDict(allow_inf_nan=False)

    name: str
    value: float | None
    verdict: Verdict | None = None
    """None, as of what follows, where no threshold is set."""
    side: str | None = None
    watch: float | None = None
    fail: float | None = None


class ExampleShown(BaseModel):
    """Texts of the data, and what was measured of them."""

    texts: list[tuple[str, str]]
    numbers: list[tuple[str, float | None]]


class FindingShown(BaseModel):
    """What the doctor says of one failure."""

    failure: str
    verdict: Verdict
    summary: str
    advice: str
    patch: str
    """Of the configuration, in YAML."""
    figures: list[FigureShown]
    sources: list[str]
    """Where the thresholds come from."""
    examples: list[ExampleShown]


class CodesShown(BaseModel):
    """A codec at a size: the share of the full vectors' quality that it keeps, with its interval."""

    codec: str
    bytes: int
    kept: float
    low: float
    high: float
    size: str
    """Of all codes, in words."""
    ms_per_query: float | None
    frontier: bool
    """Whether nothing as small keeps as much."""
    recommended: bool
    made: bool
    """Whether the run holds such codes."""


class FrontierShown(BaseModel):
    """Quality against bytes."""

    recommendation: str
    budget: int | None
    documents: int
    """That the sizes are of."""
    rows: list[CodesShown]
    facts: dict[str, str]


def findings_in(run: Path) -> list[FindingShown]:
    """The doctor's findings; none where it left none that can be read."""
    with suppress(BadInput):
        return [_finding(finding) for finding in kept.findings(run)]
    return []


def frontier_in(run: Path) -> FrontierShown | None:
    """Quality against bytes; None where nothing was left that can be read."""
    with suppress(BadInput):
        found = kept.frontier(run)
        return None if found is None else _frontier(found)
    return None


def _finding(found: Finding) -> FindingShown:
    sources = list(dict.fromkeys(rule.source for rule in found.thresholds))
    examples = [ExampleShown(texts=[(name, shorten(value)) for name, value in texts(one)],
                             numbers=[(name, finite(value)) for name, value in numbers(one)])
                for one in found.examples]  # fmt: skip
    return FindingShown(failure=found.failure, verdict=found.verdict, summary=found.summary, advice=found.fix.advice,
                        patch=patch(found.fix.patch) if found.fix.patch else "", figures=_figures(found),
                        sources=sources, examples=examples)  # fmt: skip


def _figures(found: Finding) -> list[FigureShown]:
    return [FigureShown(name=name, value=finite(value)) if rule is None else
            FigureShown(name=name, value=finite(value), verdict=rule.verdict(value), side=side(rule),
                        watch=finite(rule.watch), fail=finite(rule.fail))
            for name, value, rule in measured(found)]  # fmt: skip


def _frontier(found: PlanData) -> FrontierShown:
    rows = [CodesShown(codec=row.codec, bytes=row.size_bytes, kept=row.kept.value, low=row.kept.low, high=row.kept.high,
                       size=row.codes_size, ms_per_query=finite(row.ms_per_query), frontier=row.frontier,
                       recommended=row.recommended, made=row.made) for row in found.rows]  # fmt: skip
    return FrontierShown(recommendation=found.verdict, budget=found.budget, documents=found.documents, rows=rows,
                         facts=dict(found.facts))  # fmt: skip


def finite(value: object) -> float | None:
    """A number; None where it is none."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
