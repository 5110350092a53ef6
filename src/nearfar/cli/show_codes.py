"""Codes, and plans of them, as text for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nearfar.evaluate.statistics import Share
    from nearfar.pipeline.compress import Compressed
    from nearfar.pipeline.frontier import Plan

MAIN = "ndcg@10"
CODES = "{:>6}  {:<18}{:>8}{:>12}{:>15}{:>9}{:>10}{:>10}"
PLAN = "{:>6}  {:<20}{:>8}{:>16}{:>10}{:>12}{:>10} {}"


def compressed(found: Compressed, run: Path) -> str:
    """A line for the full vectors and for each size, and how to search."""
    from nearfar.pipeline.frontier import amount

    full = 4 * found.dimension
    rows = [("bytes", "codec", MAIN, "recall@100", "kept", "in use", "index", "s to fit"),
            (full, "full vectors", *_metrics(found.full), "", "", amount(full * found.documents), "")]  # fmt: skip
    rows += [(point.size_bytes, point.codec, *_metrics(point.measured.metrics), kept(point.measured.kept[MAIN]),
              f"{point.health.used:.1%}" if point.health else "", amount(point.index_bytes), f"{point.fit_seconds:.1f}") for point in found.points]  # fmt: skip
    lines = [CODES.format(*row).rstrip() for row in rows]
    how = f"kept of {MAIN} on {found.queries:,} test queries, ± half of the 95 % interval; in use: centroids"
    ask = f'search in them: nearfar search {run} "your question" --bytes {found.points[-1].size_bytes}'
    return "\n".join([*lines, "", how, ask])


def plan(found: Plan) -> str:
    """A line for each codec and size, the smallest first, and the recommendation."""
    from nearfar.compress.plan import frontier
    from nearfar.pipeline.frontier import amount

    best, full = frontier(found.points), 4 * found.dimension
    rows = [("bytes", "codec", MAIN, "kept", "index", "ms a query", "s to fit", "")]
    rows += [(str(point.size_bytes), point.codec, f"{point.metrics[MAIN]:.3f}", kept(point.kept),
              amount(found.documents * point.size_bytes), f"{point.ms_per_query:.1f}", f"{point.fit_seconds:.1f}",
              "*" if point in best else "") for point in found.points]  # fmt: skip
    rows.append((str(full), "full vectors", f"{found.full[MAIN]:.3f}", "", amount(found.documents * full), "", "", ""))
    _, chosen_on, told_on = found.measured_on
    how = f"chosen on {chosen_on:,} queries, reported on {told_on:,} others; * nothing as small keeps as much"
    return "\n".join([*(PLAN.format(*row).rstrip() for row in rows), "", how, "", found.recommendation])


def kept(part: Share) -> str:
    """A share with half of its interval."""
    return f"{100 * part.value:.1f} % ± {50 * (part.high - part.low):.1f}"


def _metrics(values: Mapping[str, float]) -> list[str]:
    return [f"{value:.3f}" for value in values.values()]
