"""What the one page of a run is made from: the contents of its other pages."""

from __future__ import annotations

from dataclasses import dataclass

from nearfar.diagnose.finding import Finding
from nearfar.report.contents import ReportData
from nearfar.report.doctor_contents import Place
from nearfar.report.plan_contents import PlanData


@dataclass(frozen=True)
class RunData:
    """Everything the page shows; whatever is left empty is left out of it."""

    report: ReportData
    alarms: tuple[str, ...] = ()  # what was seen while it trained
    findings: tuple[Finding, ...] = ()
    place: Place | None = None
    plan: PlanData | None = None

    @property
    def title(self) -> str:
        """Of the page."""
        return self.report.title

    @property
    def verdict(self) -> str:
        """One sentence."""
        return self.report.verdict
