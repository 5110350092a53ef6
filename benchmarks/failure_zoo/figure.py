"""ROC curves of every failure: failing runs found against healthy runs accused, as the limit of severity moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
from cases import HEALTHY
from scoring import UNKNOWN, severe
from sklearn.metrics import roc_curve

COLOURS = {"static": "#1f6feb", "table": "#14a38b", "minilm": "#e0903a"}
WIDTH, HEIGHT, COLUMNS = 220, 200, 3


def draw(runs: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the figure as SVG; a point marks the verdict `fail` as it is."""
    failures = dict.fromkeys(run["failure"] for run in runs if run["failure"] != HEALTHY)
    panels = [_panel(failure, runs) for failure in failures]
    rows = [alt.hconcat(*panels[start : start + COLUMNS]) for start in range(0, len(panels), COLUMNS)]
    alt.vconcat(*rows).configure_view(stroke=None).save(path)


def _panel(failure: str, runs: Sequence[Mapping[str, Any]]) -> alt.LayerChart:
    curves, points = [], []
    for base in COLOURS:
        own = [run for run in runs if run["base"] == base and "severity" in run]
        ill = [severe(run, failure) for run in own if run["failure"] == failure and run["failing"]]
        well = [severe(run, failure) for run in own if run["failure"] == HEALTHY]
        well = [value for value in well if value != UNKNOWN]
        if ill and well:
            accused, found, _ = roc_curve([1] * len(ill) + [0] * len(well), [*ill, *well], drop_intermediate=False)
            curves += [{"base": base, "order": number, "accused": float(x), "found": float(y)}
                       for number, (x, y) in enumerate(zip(accused, found, strict=True))]  # fmt: skip
            points.append({"base": base, "accused": _reached(well), "found": _reached(ill)})
    colour = alt.Color("base:N", title=None, scale=alt.Scale(domain=list(COLOURS), range=list(COLOURS.values())))
    axes = {"x": alt.X("accused:Q", title="healthy runs accused", scale=alt.Scale(domain=[0, 1])),
            "y": alt.Y("found:Q", title="failing runs found", scale=alt.Scale(domain=[0, 1]))}  # fmt: skip
    lines = alt.Chart(alt.InlineData(values=curves)).mark_line(interpolate="step-after").encode(
        **axes, order="order:Q", color=colour)  # fmt: skip
    marks = alt.Chart(alt.InlineData(values=points)).mark_point(filled=True, size=70).encode(**axes, color=colour)
    return (lines + marks).properties(title=failure.replace("_", " "), width=WIDTH, height=HEIGHT)


def _reached(severities: Sequence[float]) -> float:
    """Share with the verdict `fail`."""
    return sum(value >= 1 for value in severities) / len(severities)
