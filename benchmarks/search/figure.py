"""Recall against latency, latency against memory, and recall under filters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import altair as alt
from sides import ENTRIES

WIDTH, HEIGHT = 380, 260
LOWEST = 0.7  # recall that is drawn
Sides = Mapping[str, Mapping[str, Any]]


def draw(sizes: Mapping[str, Sides], path: Path) -> None:
    """Write the figure as SVG: a row for each size, with the frontier of each side, its memory, and its filters."""
    names = [name for name in ENTRIES if any(name in sides for sides in sizes.values())]
    colour = alt.Color("side:N", title=None, scale=alt.Scale(domain=names, scheme="category20"),
                       legend=alt.Legend(labelLimit=300, symbolOpacity=1))  # fmt: skip
    rows = [_row(int(size), {name: side for name, side in sides.items() if "left_out" not in side}, colour)
            for size, sides in sizes.items()]  # fmt: skip
    alt.vconcat(*rows).configure_view(stroke=None).save(path)


def _row(size: int, sides: Sides, colour: alt.Color) -> alt.HConcatChart:
    lines = [{"side": name, **point} for name, side in sides.items() for point in frontier(side)]
    best = [{"side": name, "bytes": resident(side), "ms": work(chosen(side))} for name, side in sides.items()]
    filters = [{"side": name, "share": row["share"], "recall": row["recall@10"]}
               for name, side in sides.items() for row in side["filtered"]]  # fmt: skip
    recall = alt.Y("recall:Q", title="recall@10", scale=alt.Scale(domain=[LOWEST, 1], clamp=True))
    ms = alt.X("ms:Q", title="ms of work, median", scale=alt.Scale(type="log"))
    left = _chart(lines, f"{size:,} documents: frontiers of all efforts").mark_line(point={"size": 60}).encode(
        x=ms, y=recall, order="ms:Q", color=colour)  # fmt: skip
    memory = alt.X("bytes:Q", title="bytes a vector in memory", scale=alt.Scale(type="log", domain=[30, 3000]))
    middle = _chart(best, "fastest effort with recall@10 of .95, or the best").mark_point(
        filled=True, size=120, opacity=1).encode(
        x=memory, y=alt.Y("ms:Q", title="ms of work, median", scale=alt.Scale(type="log")), color=colour)  # fmt: skip
    share = alt.X("share:Q", title="share that a filter lets through", scale=alt.Scale(type="log", reverse=True))
    whole = alt.Y("recall:Q", title="recall@10", scale=alt.Scale(domain=[0, 1]))
    right = _chart(filters, "filtered").mark_line(point={"size": 60}).encode(x=share, y=whole, color=colour)
    return alt.hconcat(left, middle, right)


def frontier(side: Mapping[str, Any]) -> list[dict[str, float]]:
    """Efforts that no faster one of the side reaches, fastest first."""
    found: list[dict[str, float]] = []
    for row in sorted(side["efforts"], key=work):
        if row["recall@10"] > max([LOWEST, *(point["recall"] for point in found)]):
            found.append({"recall": row["recall@10"], "ms": work(row)})
    return found


def _chart(values: Any, title: str) -> alt.Chart:
    return alt.Chart(alt.InlineData(values=values)).properties(title=title, width=WIDTH, height=HEIGHT)


def chosen(side: Mapping[str, Any]) -> Mapping[str, Any]:
    """Figures of a side's best effort."""
    return next(row for row in side["efforts"] if row["effort"] == side["best"])


def work(row: Mapping[str, Any]) -> float:
    """Milliseconds of the process's work for half of the queries; by the clock where a server works."""
    return float(row.get("work_p50_ms", row["p50_ms"]))


def resident(side: Mapping[str, Any]) -> float:
    """Bytes a vector that a side holds: what it says, else what its process grew by."""
    return float(side["bytes"] or sum(side["grown"].values()))
