"""What the doctor's page is made from: the findings, and plain values of the model they speak of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nearfar.diagnose.finding import Finding
from nearfar.report.vega import Sides

Kind = Literal["document", "query"]


@dataclass(frozen=True)
class Point:
    """A text on the map."""

    x: float
    y: float
    kind: Kind
    label: str  # what its colour says: "document", "query answered", or the failure it is an example of
    heading: str  # shown on hover, above the text
    text: str


@dataclass(frozen=True)
class Place:
    """The map: its points, those to be drawn on top last."""

    title: str  # what it shows, in words
    points: tuple[Point, ...]
    method: str


@dataclass(frozen=True)
class DiagnosisData:
    """Everything the page shows; whatever is left empty is left out of it."""

    title: str
    verdict: str  # one sentence over all findings
    findings: tuple[Finding, ...]
    place: Place | None = None
    spectra: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)  # name → singular values, largest first
    similarities: Sides = field(default_factory=dict)  # name → cosines of relevant pairs, of random ones
    facts: Mapping[str, str] = field(default_factory=dict)
