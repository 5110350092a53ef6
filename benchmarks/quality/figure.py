"""Both curves of every data set in one figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import altair as alt

COLOURS = {"nearfar": "#1f6feb", "peer": "#e0903a"}
WIDTH, HEIGHT = 300, 220


def draw(sets: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Write the figure as SVG; the dashed line is where the peer ends."""
    panels = [_panel(name, result) for name, result in sets.items()]
    alt.hconcat(*panels).configure_view(stroke=None).save(path)


def _panel(name: str, result: Mapping[str, Any]) -> alt.LayerChart:
    rows = [
        {"side": side, "minutes": seconds / 60, "ndcg": value}
        for side in COLOURS
        for seconds, value in result[side]["curve"]
    ]
    colour = alt.Color("side:N", title=None, scale=alt.Scale(domain=list(COLOURS), range=list(COLOURS.values())))
    lines = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("minutes:Q", title="minutes of training"),
        y=alt.Y("ndcg:Q", title="nDCG@10", scale=alt.Scale(zero=False)),
        color=colour,
    )
    end = alt.Chart(alt.InlineData(values=[{"ndcg": result["peer"]["ndcg@10"]}]))
    rule = end.mark_rule(strokeDash=[4, 4], color=COLOURS["peer"]).encode(y="ndcg:Q")
    return (rule + lines.mark_line() + lines.mark_point(filled=True, size=40)).properties(
        title=_title(name, result), width=WIDTH, height=HEIGHT
    )


def _title(name: str, result: Mapping[str, Any]) -> str:
    share = result["share_of_peers_time"]
    there = "does not reach the peer's end" if share is None else f"there in {share:.0%} of the peer's time"
    return f"{name}: nearfar {there}"
