"""Quality against bytes: which sizes are worth a look, which points of a plan count, and which one to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nearfar.compress.codec import Kind
from nearfar.core.errors import BadInput
from nearfar.evaluate.statistics import Share

SIZES = (8, 16, 32, 64, 128, 256)  # bytes looked at where a codec has so many sizes that one must choose
FEW = 4  # sizes of a codec that are all looked at


@dataclass(frozen=True)
class Point:
    """A codec at a size: what it keeps, and what it costs."""

    codec: str
    size_bytes: int
    chosen_by: float  # share of the quality that it keeps on the queries to choose with
    kept: Share  # the same on the queries to report on
    metrics: dict[str, float]  # on these
    retained: dict[str, float]  # shares of these
    ms_per_query: float  # over all documents planned for
    fit_seconds: float
    codec_bytes: int  # needed once, however many the documents


def sizes_of(kind: Kind, dimension: int, budget: int) -> list[int]:
    """Sizes of a codec to look at: the budget or the next below, then those within it, then larger ones, nearest first.

    Larger ones take longer to fit, and come last.
    """
    every = list(kind.sizes(dimension))
    nearest = [size for size in every if size <= budget][-1:]
    others = {size for size in every if len(every) <= FEW or size in SIZES} - set(nearest)
    within = sorted((size for size in others if size <= budget), reverse=True)
    return [*nearest, *within, *sorted(size for size in others if size > budget)]


def frontier(points: Sequence[Point]) -> list[Point]:
    """The points that keep more than every one of as few bytes or fewer, by rising size."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda point: (point.size_bytes, -point.chosen_by)):
        if not kept or point.chosen_by > kept[-1].chosen_by:
            kept.append(point)
    return kept


def choose(points: Sequence[Point], budget: int) -> Point:
    """The point within `budget` bytes that keeps most on the queries to choose with; of equal ones the smallest.

    Raises:
        BadInput: none is so small.
    """
    within = [point for point in frontier(points) if point.size_bytes <= budget]
    if not within:
        least = min(point.size_bytes for point in points)
        raise BadInput.at("budget", expected=f"{least} bytes or more, the smallest code looked at", found=str(budget),
                          do="raise it, or give smaller sizes")  # fmt: skip
    return within[-1]
