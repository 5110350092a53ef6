"""What a diagnosis says: a verdict, the figures and thresholds it rests on, examples, and the fix."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["ok", "watch", "fail", "unknown"]
Example = Mapping[str, str | float]  # what is shown side by side: a query, a document, a score
SEVERITY: tuple[Verdict, ...] = ("ok", "watch", "fail")
MOST_EXAMPLES = 10


@dataclass(frozen=True)
class Threshold:
    """Where a figure begins to be watched and where it fails."""

    figure: str
    watch: float
    fail: float
    source: str  # where the two numbers come from

    def verdict(self, value: float) -> Verdict:
        """`fail` above `watch` means that high values are bad; otherwise low ones are."""
        if math.isnan(value):
            return "ok"  # of a figure that there is nothing to compute from
        sign = 1 if self.fail >= self.watch else -1
        return "fail" if sign * (value - self.fail) >= 0 else "watch" if sign * (value - self.watch) >= 0 else "ok"


@dataclass(frozen=True)
class Fix:
    """What to do: a patch of the YAML, and the reason in words."""

    patch: Mapping[str, Any] = field(default_factory=dict)  # nested, as in the file; empty where no setting helps
    advice: str = ""


@dataclass(frozen=True)
class Finding:
    """One failure mode, looked for; `dataclasses.asdict` makes it JSON."""

    failure: str
    verdict: Verdict
    summary: str  # one line: what was seen, or what is missing to see it
    figures: Mapping[str, float]
    thresholds: tuple[Threshold, ...] = ()
    examples: tuple[Example, ...] = ()
    fix: Fix = field(default_factory=Fix)


def judge(figures: Mapping[str, float], thresholds: Sequence[Threshold]) -> tuple[Verdict, list[str]]:
    """The worst verdict of any threshold, and the figures that earned it, in words."""
    verdicts = {rule: rule.verdict(figures[rule.figure]) for rule in thresholds if rule.figure in figures}
    worst: Verdict = max(verdicts.values(), key=SEVERITY.index, default="ok")
    causes = [_cause(rule, figures[rule.figure], worst) for rule, verdict in verdicts.items() if verdict == worst]
    return worst, causes if worst != "ok" else []


def _cause(rule: Threshold, value: float, verdict: Verdict) -> str:
    limit = rule.fail if verdict == "fail" else rule.watch
    side = "at or above" if rule.fail >= rule.watch else "at or below"
    return f"{rule.figure.replace('_', ' ')} {value:.3g} is {side} {limit:g}"


def unknown(failure: str, needs: str, figures: Mapping[str, float] | None = None) -> Finding:
    """A finding without a verdict: `needs` says what is missing ("at least 30 judged queries, found 12")."""
    return Finding(failure, "unknown", f"cannot tell: needs {needs}", figures or {})
