"""The figures of a report as Vega-Lite specifications; each title says what the figure shows.

Arrays are binned here, so a page's size does not grow with the number of queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import altair as alt
import numpy as np
from numpy.typing import NDArray

from nearfar.report.contents import Curve, ReportData, Similarities
from nearfar.report.vega import (
    BLUE,
    EQUAL,
    LOST,
    SYSTEMS,
    WON,
    Figure,
    Rows,
    Spec,
    chart,
    fitted,
    histograms,
    percent,
    precedence,
    tips,
)

GRID = 20  # bins a side of the before/after figure
MOST_POINTS = 800  # of a curve
RATE_LABEL = "datum.value ? format(datum.value, '~e') : '0'"
SMOOTHING = 0.9  # weight of the past in the smoothed loss


def figures(data: ReportData) -> list[Figure]:
    """The figures there is data for, in the order of the page."""
    drawn = [
        metric_bars(data),
        before_after(data.before, data.after),
        similarity(data.similarities),
        training(data.curve),
    ]
    return [figure for figure in drawn if figure is not None]


def metric_bars(data: ReportData) -> Figure | None:
    """Bars of every metric by system with 95 % intervals."""
    rows = [
        {"metric": metric, "system": system, "value": e.value, "low": e.low, "high": e.high}
        for system, metrics in data.systems.items()
        for metric, e in metrics.items()
    ]
    if not rows:
        return None
    names = list(data.systems)
    base = chart(rows).encode(
        y=alt.Y("metric:N", title=None, sort=None, axis=alt.Axis(ticks=False, domain=False)),
        yOffset=alt.YOffset("system:N", sort=names),
    )
    colour = alt.Color("system:N", title=None, sort=names, scale=alt.Scale(domain=names, range=_palette(len(names))))
    bars = base.mark_bar(cornerRadiusEnd=2).encode(
        x=alt.X("value:Q", title=None, scale=alt.Scale(domain=[0, 1])), color=colour, tooltip=tips(rows[0])
    )
    spread = base.mark_rule(strokeWidth=1.5).encode(x="low:Q", x2="high:Q")
    height = alt.Step(20)
    return Figure(
        "metrics",
        _leader(data),
        "Mean over the test queries; the thin line is the 95\u00a0% interval.",
        (fitted((bars + spread).properties(height=height)),),
    )


def before_after(before: NDArray[np.float64], after: NDArray[np.float64]) -> Figure | None:
    """nDCG@10 of each query with the base model and with the trained one, as bubbles: most queries coincide."""
    if not len(before):
        return None
    cells, counts = np.unique(np.rint(np.stack([before, after]) * GRID), axis=1, return_counts=True)
    rows = [
        {"before": x / GRID, "after": y / GRID, "queries": int(n), "change": _change(y - x)}
        for x, y, n in zip(*cells, counts, strict=True)
    ]
    kinds = ["better", "equal", "worse"]
    axis = alt.Scale(domain=[-0.04, 1.04], nice=False)
    bubbles = (
        chart(rows)
        .mark_circle(opacity=0.75, stroke="white", strokeWidth=0.5)
        .encode(
            x=alt.X("before:Q", title="nDCG@10 before", scale=axis),
            y=alt.Y("after:Q", title="nDCG@10 after", scale=axis),
            size=alt.Size("queries:Q", legend=None, scale=alt.Scale(range=[14, 1400])),
            color=alt.Color("change:N", title=None, scale=alt.Scale(domain=kinds, range=[WON, EQUAL, LOST])),
            tooltip=tips(rows[0]),
        )
    )
    ends: Rows = [{"before": 0, "after": 0}, {"before": 1, "after": 1}]
    diagonal = chart(ends).mark_line(color=EQUAL, strokeDash=[4, 4]).encode(x="before:Q", y="after:Q")
    better, worse, same = (percent(which.mean()) for which in (after > before, after < before, after == before))
    title = f"{better} of the queries are better answered than before, {worse} worse, {same} the same"
    caption = "One bubble for all queries at that place, its area their number. Above the dashed line is better."
    return Figure("queries", title, caption, (fitted((diagonal + bubbles).properties(height=420)),))


def similarity(sample: Similarities | None) -> Figure | None:
    """Histograms of the similarities of positives and of negatives, one panel before training and one after."""
    if sample is None:
        return None
    sides = {
        "before": (sample.positives_before, sample.negatives_before),
        "after": (sample.positives_after, sample.negatives_after),
    }
    chance = {side: precedence(*parts) for side, parts in sides.items()}
    return Figure(
        "similarities",
        f"A relevant document is closer than another one in {100 * chance['after']:.1f}\u00a0% of cases, "
        f"{100 * chance['before']:.1f}\u00a0% before",
        "Similarity of queries to relevant and to other documents, each as a share of its own kind.",
        histograms(sides),
    )


def training(curve: Curve) -> Figure | None:
    """Loss, dev nDCG@10 and learning rate by step, one above the other."""
    panels = tuple(_curve_panels(curve))
    if not panels:
        return None
    caption = "The faint line is the loss of each step, the strong one its running mean."
    return Figure("training", _progress(curve), caption, panels)


def _curve_panels(curve: Curve) -> Iterator[Spec]:
    rows = _thin([{"step": s, "loss": v, "rate": r} for s, v, r in curve.losses], _smooth([p[1] for p in curve.losses]))
    last = max([p[0] for p in curve.losses] + [p[0] for p in curve.dev], default=0)
    x = alt.X("step:Q", title=None, scale=alt.Scale(domain=[0, last], nice=False))
    if curve.dev:
        points = [{"step": step, "ndcg": value} for step, value in curve.dev]
        y = alt.Y("ndcg:Q", title="dev nDCG@10", scale=alt.Scale(zero=False))
        line = (
            chart(points)
            .mark_line(point=alt.OverlayMarkDef(color=WON), color=WON)
            .encode(x=x, y=y, tooltip=tips(points[0]))
        )
        yield fitted(line.properties(height=150))
    if rows:
        drawn = chart(rows)
        raw = drawn.mark_line(color=BLUE, opacity=0.3, strokeWidth=1).encode(x=x, y=alt.Y("loss:Q", title="loss"))
        mean = drawn.mark_line(color=BLUE).encode(x=x, y=alt.Y("smooth:Q", title="loss"))
        yield fitted((raw + mean).properties(height=170))
    if any(row["rate"] for row in rows):
        y = alt.Y("rate:Q", title="learning rate", axis=alt.Axis(labelExpr=RATE_LABEL, tickCount=2))
        rate = chart(rows).mark_area(color=EQUAL, opacity=0.4, line={"color": EQUAL})
        yield fitted(rate.encode(x=x.title("step"), y=y).properties(height=70))


def _leader(data: ReportData) -> str:
    metric = next(iter(next(iter(data.systems.values()))))
    ranked = sorted(((m[metric].value, name) for name, m in data.systems.items() if metric in m), reverse=True)
    (best, name), rest = ranked[0], ranked[1:]
    others = ", ".join(f"{other} {value:.3f}" for value, other in rest)
    return f"Best on {metric}: {name} with {best:.3f}" + (f" ({others})" if others else "")


def _progress(curve: Curve) -> str:
    if not curve.dev:
        return f"The loss fell from {curve.losses[0][1]:.2f} to {_smooth([p[1] for p in curve.losses])[-1]:.2f}"
    step, best = max(curve.dev, key=lambda point: point[1])
    return f"Dev nDCG@10 went from {curve.dev[0][1]:.3f} to {best:.3f}, best at step {step}"


def _smooth(values: Sequence[float]) -> list[float]:
    """Running exponential mean without the pull of its starting value (Adam's correction)."""
    mean, smooth = 0.0, []
    for count, value in enumerate(values, 1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * value
        smooth.append(mean / (1 - SMOOTHING**count))
    return smooth


def _thin(rows: Rows, smooth: Sequence[float]) -> Rows:
    step = -(-len(rows) // MOST_POINTS) or 1
    return [row | {"smooth": value} for row, value in zip(rows, smooth, strict=True)][::step]


def _change(difference: float) -> str:
    return "equal" if difference == 0 else "better" if difference > 0 else "worse"


def _palette(count: int) -> list[str]:
    return [SYSTEMS[i % len(SYSTEMS)] for i in range(count)]
