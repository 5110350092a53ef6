"""What the page of a compression plan is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nearfar.evaluate.statistics import Share
from nearfar.report.filters import amount

MAIN_METRIC = "ndcg@10"


@dataclass(frozen=True)
class PlanRow:
    """A codec at a size."""

    codec: str
    size_bytes: int
    kept: Share  # of the full vectors' nDCG@10
    codes_size: str  # in words
    codec_size: str
    ms_per_query: float  # not a number where it was not measured
    fit_seconds: float
    frontier: bool  # whether nothing smaller keeps as much
    recommended: bool
    made: bool = False  # whether the run holds such codes, of which the figures then are


@dataclass(frozen=True)
class PlanData:
    """Everything the page shows."""

    title: str
    verdict: str  # the recommendation, if one was made
    budget: int | None  # bytes a vector, if there is one
    documents: int  # planned for
    rows: tuple[PlanRow, ...]
    facts: Mapping[str, str]


def plan_of(kept: Mapping[str, Any]) -> PlanData:
    """What is shown of a plan, from what is kept of it."""
    planned, full = int(kept["planned_for"]), kept["full"]
    size = int(full["bytes"])
    facts = {
        "run": str(kept["run"]),
        "measured on": f"{kept['queries']:,} test queries, {kept['documents']:,} documents",
        "chosen on": f"{kept['chosen_on']:,} other queries",
        "full vectors": f"{size:,} bytes, nDCG@10 {full[MAIN_METRIC]:.3f}, {amount(size * planned)}",
        "time of a query": f"every code compared on this machine, scaled to {planned:,} documents",
    }
    rows = tuple(_row(point, planned, frontier=bool(point["frontier"]), recommended=bool(point["recommended"]))
                 for point in kept["points"])  # fmt: skip
    return PlanData(f"Compression of {kept['run']}", str(kept["recommendation"]), int(kept["budget"]), planned, rows,
                    facts)  # fmt: skip


def made_of(kept: Mapping[str, Any]) -> PlanData:
    """What is shown of codes that were made, without a plan."""
    full, documents = kept["full"], int(kept["documents"])
    size = int(full["bytes"])
    facts = {
        "measured on": f"{kept['queries']:,} test queries, {documents:,} documents",
        "full vectors": f"{size:,} bytes, nDCG@10 {full[MAIN_METRIC]:.3f}, {amount(size * documents)}",
    }
    return PlanData("Compression", "", None, documents, (_row(kept, documents),), facts)


def _row(point: Mapping[str, Any], documents: int, *, frontier: bool = False, recommended: bool = False) -> PlanRow:
    low, high = map(float, point["interval"])
    kept = Share(float(point[f"retained_{MAIN_METRIC}"]), low, high)
    slowness = point.get("ms_per_query")
    return PlanRow(str(point["codec"]), int(point["bytes"]), kept, amount(documents * int(point["bytes"])),
                   amount(point["codec_bytes"]), float("nan") if slowness is None else float(slowness),
                   float(point["fit_seconds"]), frontier=frontier, recommended=recommended)  # fmt: skip
