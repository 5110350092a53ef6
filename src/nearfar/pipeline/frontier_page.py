"""From a compression plan to its page."""

from __future__ import annotations

from pathlib import Path

from nearfar.compress.plan import Point, frontier
from nearfar.pipeline.config import MAIN_METRIC
from nearfar.pipeline.frontier import Plan, amount
from nearfar.report.html import write_plan
from nearfar.report.plan_contents import PlanData, PlanRow


def write_page(found: Plan, path: Path) -> None:
    """Write a page with the chart and the table.

    Raises:
        BadInput: the file cannot be written.
    """
    write_plan(page_data(found), path)


def page_data(found: Plan) -> PlanData:
    """What the page of a plan shows."""
    best = frontier(found.points)
    rows = [_row(found, point, frontier=point in best) for point in found.points]
    documents, chosen_on, told_on = found.measured_on
    full = 4 * found.dimension
    facts = {
        "run": found.run,
        "measured on": f"{told_on:,} test queries, {documents:,} documents",
        "chosen on": f"{chosen_on:,} other queries",
        "full vectors": f"{full:,} bytes, nDCG@10 {found.full[MAIN_METRIC]:.3f}, {amount(full * found.documents)}",
        "time of a query": f"every code compared on this machine, scaled to {found.documents:,} documents",
    }
    title = f"Compression of {found.run}"
    return PlanData(title, found.recommendation, found.budget, found.documents, tuple(rows), facts)


def _row(found: Plan, point: Point, *, frontier: bool) -> PlanRow:
    codes, codec = amount(found.documents * point.size_bytes), amount(point.codec_bytes)
    return PlanRow(point.codec, point.size_bytes, point.kept, codes, codec, point.ms_per_query, point.fit_seconds,
                   frontier=frontier, recommended=point == found.choice)  # fmt: skip
