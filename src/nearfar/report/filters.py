"""How values are written in a page: the filters of its templates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from nearfar.diagnose.finding import SEVERITY, Example, Finding, Threshold

UNITS = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3))
LONGEST_TEXT = 600  # characters of a document shown in an example


def shorten(text: str) -> str:
    """The beginning of a text."""
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT].rstrip() + " …"


def words(name: str) -> str:
    """A name without its underscores; the verdict `unknown` in words."""
    return {"unknown": "cannot tell"}.get(name, name.replace("_", " ").replace("ndcg", "nDCG"))


def number(value: float) -> str:
    """At most three digits that count; a dash where there is no number."""
    return "–" if not math.isfinite(value) else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def amount(size: int) -> str:
    """Bytes in words, with three digits that count: 32 MB is 32,000,000 bytes."""
    name, unit = next((pair for pair in UNITS if size >= pair[1]), ("bytes", 1))
    return f"{size / unit:,.0f} {name}" if size >= 100 * unit else f"{size / unit:.3g} {name}"


def patch(fix: Mapping[str, Any]) -> str:
    """A patch as it is written in the YAML."""
    return yaml.safe_dump(dict(fix), sort_keys=False, allow_unicode=True).rstrip()


def texts(example: Example) -> list[tuple[str, str]]:
    """What there is to read in an example."""
    return [(name, value) for name, value in example.items() if isinstance(value, str)]


def numbers(example: Example) -> list[tuple[str, float]]:
    """What was measured of an example."""
    return [(name, value) for name, value in example.items() if not isinstance(value, str)]


def measured(finding: Finding) -> list[tuple[str, float, Threshold | None]]:
    """Name, value and threshold of every figure, those with a threshold first."""
    rules = {rule.figure: rule for rule in finding.thresholds}
    rows = [(name, value, rules.get(name)) for name, value in finding.figures.items()]
    return sorted(rows, key=lambda row: row[2] is None)


def side(rule: Threshold) -> str:
    """Which values are bad."""
    return "≥" if rule.fail >= rule.watch else "≤"


def shade(finding: Finding, rule: Threshold, value: float) -> str:
    """The class of a figure's colour: none where it is beyond a limit that alone decides nothing."""
    verdict = rule.verdict(value)
    return "" if SEVERITY.index(verdict) > SEVERITY.index(finding.verdict) else verdict


FILTERS: Mapping[str, Callable[..., Any]] = {
    function.__name__: function for function in (shorten, words, number, patch, texts, numbers, measured, side, shade)
}
