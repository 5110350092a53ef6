"""What the page of a compression plan is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nearfar.evaluate.statistics import Share


@dataclass(frozen=True)
class PlanRow:
    """A codec at a size."""

    codec: str
    size_bytes: int
    kept: Share  # of the full vectors' nDCG@10
    codes_size: str  # in words
    codec_size: str
    ms_per_query: float
    fit_seconds: float
    frontier: bool  # whether nothing smaller keeps as much
    recommended: bool


@dataclass(frozen=True)
class PlanData:
    """Everything the page shows."""

    title: str
    verdict: str  # the recommendation
    budget: int  # bytes a vector
    documents: int  # planned for
    rows: tuple[PlanRow, ...]
    facts: Mapping[str, str]
