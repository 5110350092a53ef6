"""The figure of a compression plan: quality kept against bytes a vector."""

from __future__ import annotations

import altair as alt

from nearfar.report.plan_contents import PlanData
from nearfar.report.vega import EQUAL, LOST, Figure, Rows, chart, fitted, tips

COLOURS = ("#1f6feb", "#e0903a", "#14a38b", "#8b5cf6", "#d6409f", "#9ccc3c", "#7cb0ee", "#f0b429", "#9aa3af",
           "#7a4b2a", "#0aa5c4", "#e0563f")  # fmt: skip
SPACE = alt.Scale(type="log", base=2, nice=False, padding=12)  # of the axis of bytes


def quality(data: PlanData) -> Figure:
    """A line for each codec over its sizes, with 95 % intervals; the budget is the dashed line."""
    rows: Rows = [
        {"codec": row.codec, "bytes": row.size_bytes, "kept": row.kept.value, "low": row.kept.low,
         "high": row.kept.high} for row in data.rows
    ]  # fmt: skip
    drawn = chart(rows).encode(x=_bytes(rows), color=_colour(list(dict.fromkeys(row["codec"] for row in rows))))
    share = alt.Axis(format="%", tickCount=6)
    y = alt.Y("kept:Q", title="share of the full nDCG@10", scale=alt.Scale(zero=False), axis=share)
    lines = drawn.mark_line(strokeWidth=2).encode(y=y)
    spread = drawn.mark_rule(opacity=0.5).encode(y="low:Q", y2="high:Q")
    points = drawn.mark_point(filled=True, size=60, opacity=1).encode(y=y, tooltip=tips(rows[0]))
    best = chart([row for row, of in zip(rows, data.rows, strict=True) if of.frontier])
    front = best.mark_line(strokeWidth=9, opacity=0.18, color=EQUAL).encode(x=_bytes(rows), y=y)
    full = chart([{"kept": 1}]).mark_rule(color=EQUAL).encode(y="kept:Q")
    budget = chart([{"bytes": data.budget}]).mark_rule(color=LOST, strokeDash=[5, 4]).encode(x="bytes:Q")
    under = [full] if data.budget is None else [front, full, budget]
    layers = alt.LayerChart(layer=[*under, spread, lines, points]).properties(height=380)
    caption = "Thin lines: 95\u00a0% intervals over the test queries; grey: the full vectors"
    caption += "." if data.budget is None else ", and the best of each size; dashed: the budget."
    return Figure("quality", _title(data), caption, (fitted(layers),))


def _bytes(rows: Rows) -> alt.X:
    sizes = sorted({row["bytes"] for row in rows})
    axis = alt.Axis(values=sizes, format="d", labelOverlap=True)
    return alt.X("bytes:Q", title="bytes a vector", scale=SPACE, axis=axis)


def _colour(names: list[str]) -> alt.Color:
    scale = alt.Scale(domain=names, range=[COLOURS[i % len(COLOURS)] for i in range(len(names))])
    return alt.Color("codec:N", title=None, scale=scale, legend=alt.Legend(columns=4))


def _title(data: PlanData) -> str:
    best = next((row for row in data.rows if row.recommended), data.rows[-1])
    kept = f"{100 * best.kept.value:.1f}\u00a0% of the full nDCG@10"
    return f"{best.codec} keeps {kept} in {best.size_bytes} bytes a vector"
