"""The figures of the doctor's page; those of one finding are found by the names of its figures."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from nearfar.diagnose.finding import Finding
from nearfar.report.doctor_contents import DiagnosisData, Place
from nearfar.report.vega import (
    BLUE,
    EQUAL,
    LOST,
    WON,
    Figure,
    Rows,
    Sides,
    Spec,
    chart,
    fitted,
    histograms,
    percent,
    precedence,
    tips,
)

ANSWERED, UNANSWERED, PLAIN = "query answered", "query not answered", "document"
LABELS = {PLAIN: EQUAL, ANSWERED: WON, UNANSWERED: LOST}
SHAPES = {"document": "circle", "query": "triangle-up"}
FAILURES = ("#8b5cf6", "#1f6feb", "#f0b429", "#d6409f", "#9ccc3c")  # apart from the colours of the labels
LINES = (BLUE, "#e0903a", "#8b5cf6", "#14a38b")
LEGEND = f"(indexof({json.dumps(list(LABELS))}, datum.label) < 0 ? 'example: ' : '') + replace(datum.label, '_', ' ')"
FLOOR = 1e-4  # of the spectrum's axis, in shares of the largest value
MOST_VALUES = 400  # of a spectrum
ENERGY = 0.9
BIN, SIZE = re.compile(r"(.+)_bin_(\d+)"), re.compile(r"(.+)_at_(\d+)")
RECALL = re.compile(r"recall_(old|new)_queries_(old|new)_documents")
RECALLS = {
    "": "Old is the model that made the index, new the one that is to ask it.",
    "base_": "Old is the base, new the trained model: what an index made with the base would be worth.",
}
BINS_OF = {"overfit": "Test queries in bins of equal size: those most like a training query first, the newest last."}
DARK, PALE = "#1c2430", "#ffffff"  # letters on a light cell and on a full one

Series = Mapping[str, list[tuple[int, float]]]  # stem of the names → (number, value), by number


def figures(data: DiagnosisData) -> list[Figure]:
    """The figures of the model that there is data for, in the order of the page."""
    drawn = [
        embedding_map(data.place, [finding.failure for finding in data.findings]),
        spectrum(data.spectra),
        similarity(data.similarities),
    ]
    return [figure for figure in drawn if figure is not None]


def of_finding(finding: Finding) -> list[Figure]:
    """The figures that the numbers of a finding can be drawn as."""
    drawn = [bins(finding), by_size(finding), recall_matrix(finding)]
    return [figure for figure in drawn if figure is not None]


def embedding_map(place: Place | None, failures: Sequence[str]) -> Figure | None:
    """All texts as points, coloured by what was found; a click in the legend leaves one colour."""
    if place is None or not place.points:
        return None
    rows = [{"x": p.x, "y": p.y, "kind": p.kind, "label": p.label, "title": p.heading, "text": p.text,
             "layer": 2 if p.label not in LABELS else int(p.kind == "query")} for p in place.points]  # fmt: skip
    colours = LABELS | dict(zip(failures, FAILURES, strict=False))
    names = [name for name in colours if any(p.label == name for p in place.points)]
    alone = alt.selection_point(fields=["label"], bind="legend")
    scale = alt.Scale(zero=False, nice=False, padding=8)
    shade = alt.Opacity("layer:Q", legend=None, scale=alt.Scale(domain=[0, 2], range=[0.55, 1]))
    legend = alt.Legend(columns=2, symbolOpacity=1, labelLimit=0, labelExpr=LEGEND)
    points = chart(rows).mark_point(filled=True, strokeWidth=0).encode(
        x=alt.X("x:Q", axis=None, scale=scale),
        y=alt.Y("y:Q", axis=None, scale=scale),
        color=alt.Color("label:N", title=None, legend=legend,
                        scale=alt.Scale(domain=names, range=[colours[name] for name in names])),
        shape=alt.Shape("kind:N", legend=None, scale=alt.Scale(domain=list(SHAPES), range=list(SHAPES.values()))),
        size=alt.Size("layer:Q", legend=None, scale=alt.Scale(domain=[0, 1, 2], range=[20, 50, 110])),
        opacity=alt.condition(alone, shade, alt.value(0.04)),
        tooltip=[alt.Tooltip("title:N"), alt.Tooltip("text:N")],
    ).add_params(alone)  # fmt: skip
    counts = {kind: sum(p.kind == kind for p in place.points) for kind in SHAPES}
    caption = (f"{place.method}: {counts['document']:,} documents (circles), {counts['query']:,} queries (triangles). "
               "Point at one to read it; click on a name in the legend to see that colour alone.")  # fmt: skip
    return Figure("map", place.title, caption, (fitted(points.properties(height=520)),))


def spectrum(spectra: Mapping[str, NDArray[np.float64]]) -> Figure | None:
    """Singular values of the documents' vectors as shares of the largest, on a logarithmic axis."""
    spectra = {name: values / values[0] for name, values in spectra.items() if len(values) and values[0] > 0}
    if not spectra:
        return None
    rows = [
        {"direction": int(i) + 1, "value": max(float(values[i]), FLOOR), "model": name}
        for name, values in spectra.items()
        for i in np.unique(np.linspace(0, len(values) - 1, MOST_VALUES).astype(int))
    ]
    lines = chart(rows).mark_line(strokeWidth=2).encode(
        x=alt.X("direction:Q", title="direction, the strongest first", scale=alt.Scale(nice=False)),
        y=alt.Y("value:Q", title="share of the strongest", scale=alt.Scale(type="log", domainMax=1),
                axis=alt.Axis(tickCount=4, format="~g")),
        color=_coloured("model", list(spectra)),
        tooltip=tips(rows[0]),
    )  # fmt: skip
    seen = [
        f"{_directions(values)} of {len(values)} directions{_of(name, spectra)}" for name, values in spectra.items()
    ]
    caption = "Singular values of the documents' vectors. A line that drops early: few dimensions are in use."
    title = f"{percent(ENERGY)} of the vectors' energy lies in {', '.join(reversed(seen))}"
    return Figure("spectrum", title, caption, (fitted(lines.properties(height=240)),))


def _directions(values: NDArray[np.float64]) -> int:
    energy = np.cumsum(np.square(values))
    return int(np.searchsorted(energy, ENERGY * energy[-1])) + 1


def similarity(sides: Sides) -> Figure | None:
    """Histograms of the similarities of relevant and of random pairs, one panel a model."""
    sides = {name: parts for name, parts in sides.items() if all(map(len, parts))}
    if not sides:
        return None
    shares = [f"{100 * precedence(*parts):.1f}\u00a0% of cases{_of(name, sides)}" for name, parts in sides.items()]
    title = f"A relevant document is closer than a random one in {', '.join(reversed(shares))}"
    caption = "Similarity of queries to relevant and to other documents, each as a share of its own kind."
    return Figure("similarities", title, caption, histograms({f"by the {name}": p for name, p in sides.items()}))


def bins(finding: Finding) -> Figure | None:
    """Bars of all figures `<name>_bin_<number>`."""
    found = _series(finding, BIN)
    if not found:
        return None
    rows = _rows(found, "bin")
    bars = chart(rows).mark_bar(cornerRadiusEnd=2).encode(
        x=alt.X("bin:O", title="bin", axis=alt.Axis(labelAngle=0)),
        xOffset=alt.XOffset("figure:N", sort=[_words(stem) for stem in found]),
        y=alt.Y("value:Q", title=None),
        color=_coloured("figure", [_words(stem) for stem in found]),
        tooltip=tips(rows[0]),
    )  # fmt: skip
    caption = BINS_OF.get(finding.failure, "Each bar is the mean over the queries of a bin.")
    return Figure(f"{finding.failure}-bins", _ends(found, "in bin "), caption,
                  (fitted(bars.properties(height=220)),))  # fmt: skip


def by_size(finding: Finding) -> Figure | None:
    """Lines of all figures `<name>_at_<batch size>`."""
    found = _series(finding, SIZE)
    if not found:
        return None
    rows = _rows(found, "batch")
    axis = alt.Axis(values=sorted({row["batch"] for row in rows}), format="d", labelOverlap=True)
    lines = chart(rows).mark_line(point=alt.OverlayMarkDef(size=50), strokeWidth=2).encode(
        x=alt.X("batch:Q", title="batch size", scale=alt.Scale(type="log", base=2, nice=False), axis=axis),
        y=alt.Y("value:Q", title=None, scale=alt.Scale(domainMin=0)),
        color=_coloured("figure", [_words(stem) for stem in found]),
        tooltip=tips(rows[0]),
    )  # fmt: skip
    title, caption = _ends(found, "at a batch size of "), "What a larger batch brings with it."
    return Figure(f"{finding.failure}-sizes", title, caption, (fitted(lines.properties(height=220)),))


def recall_matrix(finding: Finding) -> Figure | None:
    """Recall of old and new queries among old and new documents, as a heat map."""
    for prefix, caption in RECALLS.items():
        rows = _cells(finding, prefix)
        if rows:
            worst = min(rows, key=lambda row: float(row["recall"]))
            title = f"Recall is lowest, {worst['recall']:.2f}, with {worst['queries']} and {worst['documents']}"
            return Figure(f"{finding.failure}-recall", title, caption, (_matrix(rows),))
    return None


def _cells(finding: Finding, prefix: str) -> Rows:
    named = {name.removeprefix(prefix): value for name, value in finding.figures.items() if name.startswith(prefix)}
    return [{"queries": f"{match[1]} queries", "documents": f"{match[2]} documents", "recall": value}
            for name, value in named.items() if (match := RECALL.fullmatch(name)) and math.isfinite(value)]  # fmt: skip


def _matrix(rows: Rows) -> Spec:
    base = chart(rows).encode(
        x=alt.X("documents:N", title=None, sort=["old documents", "new documents"],
                axis=alt.Axis(orient="top", labelAngle=0, ticks=False, domain=False)),
        y=alt.Y("queries:N", title=None, sort=["old queries", "new queries"],
                axis=alt.Axis(ticks=False, domain=False)),
        tooltip=tips(rows[0]),
    )  # fmt: skip
    shade = alt.Color("recall:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=["#e3edfb", BLUE]))
    letters = alt.condition("datum.recall > 0.6", alt.value(PALE), alt.value(DARK))
    cells = base.mark_rect(cornerRadius=6, stroke="transparent", strokeWidth=4).encode(color=shade)
    numbers = base.mark_text(fontSize=20, fontWeight=600).encode(text=alt.Text("recall:Q", format=".2f"), color=letters)
    return fitted((cells + numbers).properties(height=220))


def _rows(found: Series, number: str) -> Rows:
    return [{number: at, "value": value, "figure": _words(stem)}
            for stem, values in found.items() for at, value in values]  # fmt: skip


def _series(finding: Finding, pattern: re.Pattern[str]) -> Series:
    """Figures with a number in their name, by what stands before it; a single one is no series."""
    found: dict[str, list[tuple[int, float]]] = {}
    for name, value in finding.figures.items():
        if (match := pattern.fullmatch(name)) and math.isfinite(value):
            found.setdefault(match[1], []).append((int(match[2]), float(value)))
    return {stem: sorted(values) for stem, values in found.items() if len(values) > 1}


def _ends(found: Series, where: str) -> str:
    """The first series from its first number to its last."""
    stem, values = next(iter(found.items()))
    (first, before), (last, after) = values[0], values[-1]
    return f"{_words(stem)} {before:.2f} {where}{first:,}, {after:.2f} {where}{last:,}"


def _coloured(name: str, values: list[str]) -> alt.Color:
    own = iter(LINES * len(values))
    palette = [EQUAL if value == "base" else next(own) for value in values]
    legend = alt.Legend() if len(values) > 1 else None
    return alt.Color(f"{name}:N", title=None, sort=values, scale=alt.Scale(domain=values, range=palette), legend=legend)


def _of(name: str, names: Mapping[str, Any]) -> str:
    """Whose figure it is, where there are several."""
    return f" ({name})" if len(names) > 1 else ""


def _words(name: str) -> str:
    return name.replace("_", " ").replace("ndcg", "nDCG")
