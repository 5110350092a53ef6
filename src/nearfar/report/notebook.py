"""What results show of themselves in a notebook: a few lines of HTML without scripts, on light and dark pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nearfar.diagnose.finding import Finding
from nearfar.report.contents import Estimate
from nearfar.report.templates import template

Row = tuple[str, float, str, Mapping[str, object]]  # id, score, text, and what else is known of a document


def run_html(title: str, verdict: str, metrics: Mapping[str, Mapping[str, float]], facts: Sequence[str]) -> str:
    """A run: its verdict, and metrics by system."""
    names = list(dict.fromkeys(name for values in metrics.values() for name in values))
    return _rendered("run", title=title, verdict=verdict, metrics=metrics, names=names, facts=facts)


def evaluation_html(estimates: Mapping[str, Estimate], queries: int) -> str:
    """An evaluation: its metrics with their intervals."""
    return _rendered("evaluation", estimates=estimates, queries=queries)


def diagnosis_html(subject: str, findings: Sequence[Finding]) -> str:
    """A diagnosis: every verdict, and the fix of what was found."""
    return _rendered("diagnosis", subject=subject, findings=findings)


def hits_html(rows: Iterable[Row]) -> str:
    """Found documents, best first."""
    return _rendered("hits", rows=list(rows))


def _rendered(kind: str, **values: object) -> str:
    shown: str = template("notebook.html.j2").render(kind=kind, **values)
    return shown
