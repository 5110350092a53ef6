"""What all figures are made with: colours, data, tooltips, histograms, and Vega-Lite that fits the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

Spec = dict[str, Any]
Rows = list[dict[str, Any]]
Sides = Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]  # name → values of relevant pairs, of others

SYSTEMS = ("#9aa3af", "#7cb0ee", "#1f6feb", "#8b5cf6", "#14a38b", "#e0903a")
WON, EQUAL, LOST = "#14a38b", "#9aa3af", "#e0563f"
BLUE = "#1f6feb"
BINS = 60  # of a histogram


@dataclass(frozen=True)
class Figure:
    """One or more panels under one title; `name` is its anchor in the page."""

    name: str
    title: str
    caption: str
    panels: tuple[Spec, ...]


def chart(rows: Rows) -> alt.Chart:
    """A chart that carries its rows with it."""
    return alt.Chart(alt.InlineData(values=rows))


def fitted(drawn: alt.Chart | alt.LayerChart) -> Spec:
    """The specification, as wide as the page."""
    spec: Spec = drawn.properties(width="container").to_dict()
    spec.pop("config", None)  # the page brings its own, light or dark
    return spec


def tips(row: Mapping[str, Any]) -> list[alt.Tooltip]:
    """A tooltip with all that a row like this one holds."""
    return [_tip(name, value) for name, value in row.items()]


def _tip(name: str, value: str | float) -> alt.Tooltip:
    if isinstance(value, str):
        return alt.Tooltip(field=name, type="nominal")
    return alt.Tooltip(field=name, type="quantitative", format="," if isinstance(value, int) else ".3f")


def percent(share: float) -> str:
    """A share in words."""
    return f"{100 * share:.0f}\u00a0%"


def histograms(sides: Sides) -> tuple[Spec, ...]:
    """One panel a side, of the same bins and span: relevant pairs and others, each as a share of its own kind."""
    edges = np.histogram_bin_edges(np.concatenate([part for parts in sides.values() for part in parts]), BINS)
    return tuple(_histogram(*parts, edges, side, legend=i == 0) for i, (side, parts) in enumerate(sides.items()))


def _histogram(
    relevant: NDArray[np.float32], others: NDArray[np.float32], edges: NDArray[np.float32], side: str, *, legend: bool
) -> Spec:
    kinds = {"relevant": relevant, "other": others}
    rows = [
        {"kind": kind, "from": float(low), "to": float(high), "share": count / len(values)}
        for kind, values in kinds.items()
        for low, high, count in zip(edges[:-1], edges[1:], np.histogram(values, edges)[0], strict=True)
        if count
    ]
    span = alt.Scale(domain=[float(edges[0]), float(edges[-1])], nice=False)
    colour = alt.Scale(domain=list(kinds), range=[WON, LOST])
    bars = chart(rows).mark_bar(opacity=0.6, binSpacing=0)
    encoded = bars.encode(
        x=alt.X("from:Q", title=f"similarity {side}", scale=span, bin="binned"),
        x2="to:Q",
        y=alt.Y("share:Q", title=None, stack=None, axis=alt.Axis(format="%", tickCount=4)),
        color=alt.Color("kind:N", title=None, scale=colour, legend=alt.Legend() if legend else None),
        tooltip=tips(rows[0]),
    )
    return fitted(encoded.properties(height=150))


def precedence(positives: NDArray[np.float32], negatives: NDArray[np.float32]) -> float:
    """Chance that a random positive is above a random negative, ties counted half (the area under the ROC curve)."""
    ordered = np.sort(negatives)
    below = np.searchsorted(ordered, positives, "left") + np.searchsorted(ordered, positives, "right")
    return float(below.mean() / 2 / len(negatives))
