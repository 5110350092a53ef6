"""Recall against latency and memory, and recall under filters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import altair as alt

WIDTH, HEIGHT = 380, 260
LOWEST = 0.7  # recall that is drawn
Sides = Mapping[str, Mapping[str, Any]]


def draw(sizes: Mapping[str, Sides], path: Path) -> None:
    """Write the figure as SVG: a row for each size, with every effort, the memory of the best one, and its filters."""
    rows = [_row(int(size), {name: side for name, side in sides.items() if "left_out" not in side})
            for size, sides in sizes.items()]  # fmt: skip
    alt.vconcat(*rows).resolve_scale(color="independent").configure_view(stroke=None).save(path)


def _row(size: int, sides: Sides) -> alt.HConcatChart:
    efforts = [{"side": name, "recall": row["recall@10"], "ms": work(row), "bytes": resident(side)}
               for name, side in sides.items() for row in side["efforts"] if row["recall@10"] >= LOWEST]  # fmt: skip
    best = [_best(name, side) for name, side in sides.items()]
    filters = [{"side": name, "share": row["share"], "recall": row["recall@10"]}
               for name, side in sides.items() for row in side["filtered"]]  # fmt: skip
    colour = alt.Color("side:N", title=None, legend=alt.Legend(labelLimit=300))
    recall = alt.Y("recall:Q", title="recall@10", scale=alt.Scale(domain=[LOWEST, 1], clamp=True))
    ms = alt.X("ms:Q", title="ms of work, median", scale=alt.Scale(type="log"))
    left = _chart(efforts, f"{size:,} documents: every effort").mark_line(point=True).encode(
        x=ms, y=recall, order="ms:Q", color=colour)  # fmt: skip
    memory = alt.X("bytes:Q", title="bytes a vector in memory", scale=alt.Scale(type="log"))
    middle = _chart(best, "best effort of each").mark_point(filled=True).encode(
        x=memory, y=recall, size=alt.Size("ms:Q", title="ms"), color=colour)  # fmt: skip
    share = alt.X("share:Q", title="share that a filter lets through", scale=alt.Scale(type="log", reverse=True))
    whole = alt.Y("recall:Q", title="recall@10", scale=alt.Scale(domain=[0, 1]))
    right = _chart(filters, "filtered").mark_line(point=True).encode(x=share, y=whole, color=colour)
    return alt.hconcat(left, middle, right)


def _chart(values: Any, title: str) -> alt.Chart:
    return alt.Chart(alt.InlineData(values=values)).properties(title=title, width=WIDTH, height=HEIGHT)


def _best(name: str, side: Mapping[str, Any]) -> Mapping[str, Any]:
    row = next(row for row in side["efforts"] if row["effort"] == side["best"])
    return {"side": name, "recall": row["recall@10"], "ms": work(row), "bytes": resident(side)}


def work(row: Mapping[str, Any]) -> float:
    """Milliseconds of the process's work for half of the queries; by the clock where a server works."""
    return float(row.get("work_p50_ms", row["p50_ms"]))


def resident(side: Mapping[str, Any]) -> float:
    """Bytes a vector that a side holds: what it says, else what its process grew by."""
    return float(side["bytes"] or sum(side["grown"].values()))
