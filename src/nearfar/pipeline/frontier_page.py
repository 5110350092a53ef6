"""From a compression plan to its page."""

from __future__ import annotations

from pathlib import Path

from nearfar.pipeline.frontier import Plan
from nearfar.report.html import write_plan
from nearfar.report.plan_contents import PlanData, plan_of


def write_page(found: Plan, path: Path) -> None:
    """Write a page with the chart and the table.

    Raises:
        BadInput: the file cannot be written.
    """
    write_plan(page_data(found), path)


def page_data(found: Plan) -> PlanData:
    """What the page of a plan shows."""
    return plan_of(found.kept())
