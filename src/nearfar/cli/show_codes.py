"""Codes, and plans of them, as text for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nearfar.evaluate.statistics import Share
    from nearfar.pipeline.compress import Coded, Compressed
    from nearfar.pipeline.compress_train import TrainedCodes
    from nearfar.pipeline.frontier import Plan

MAIN = "ndcg@10"
CODES = "{:>6}  {:<18}{:>8}{:>12}{:>15}{:>10}{:>8}{:>9}{:>9}{:>10}"
TRAINED = "{:>6}  {:<24}{:>8}{:>12}{:>15}"
PLAN = "{:>6}  {:<18}{:>8}{:>15}{:>9}{:>9}{:>12}{:>10} {}"


def compressed(found: Compressed, run: Path) -> str:
    """A line for the full vectors and for each size, and how to search."""
    from nearfar.pipeline.evaluate import DEPTH
    from nearfar.report.filters import amount

    full = 4 * found.dimension
    titles = ("bytes", "codec", MAIN, "recall@100", "kept", "rescored", "in use", "codes", "codec", "s to fit")
    whole = amount(full * found.documents)
    rows = [titles, (full, "full vectors", *_metrics(found.full), "", "", "", whole, "", "")]
    rows += [_coded(point) for point in found.points]
    last = found.points[-1]
    how = f"kept of {MAIN} on {found.queries:,} test queries, ± half of the 95 % interval; in use: centroids"
    again = f"rescored: kept where full vectors rank again the {DEPTH} documents that the codes choose"
    few = f"with {found.documents:,} documents the codec, which is needed once, is larger than what it saves"
    ask = f'search in them: nearfar search {run} "your question" --bytes {last.size_bytes}'
    larger = last.index_bytes + last.codec_bytes > full * found.documents
    return "\n".join([*(CODES.format(*row).rstrip() for row in rows), "", how, again, *([few] if larger else []), ask])


def _coded(point: Coded) -> tuple[object, ...]:
    from nearfar.pipeline.coding import RESCORED
    from nearfar.report.filters import amount

    used = f"{point.health.used:.1%}" if point.health else ""
    rescored = f"{100 * point.measured.kept[RESCORED].value:.1f} %"
    return (point.size_bytes, point.codec, *_metrics(point.measured.metrics), kept(point.measured.kept[MAIN]), rescored,
            used, amount(point.index_bytes), amount(point.codec_bytes), f"{point.fit_seconds:.1f}")  # fmt: skip


def trained_codes(found: TrainedCodes, run: Path) -> str:
    """A line for each way of searching, before training and after, and how to search."""
    rows: list[tuple[str, ...]] = [("bytes", "search by", MAIN, "recall@100", "kept")]
    rows += [(str(row.size_bytes), row.name, *_metrics(row.evaluation.metrics), kept(row.kept)) for row in found.rows]
    how = (f"kept of the better vectors' {MAIN} on {found.queries:,} test queries, ± half of the 95 % interval; "
           f"trained in {found.run.record['train_seconds']:.0f} s")  # fmt: skip
    new = found.run.path
    then = f'search in the codes: nearfar search {new} "your question" --bytes {found.size_bytes}'
    if found.trained == "dense":
        then = f"candidates come from the codes of {run} and its model, their order from the vectors of {new}"
    return "\n".join([*(TRAINED.format(*row).rstrip() for row in rows), "", how, then])


def plan(found: Plan) -> str:
    """A line for each codec and size, the smallest first, and the recommendation."""
    from nearfar.compress.plan import frontier
    from nearfar.report.filters import amount

    best, full = frontier(found.points), 4 * found.dimension
    rows = [("bytes", "codec", MAIN, "kept", "codes", "codec", "ms a query", "s to fit", "")]
    rows += [(str(point.size_bytes), point.codec, f"{point.metrics[MAIN]:.3f}", kept(point.kept),
              amount(found.documents * point.size_bytes), amount(point.codec_bytes), f"{point.ms_per_query:.1f}",
              f"{point.fit_seconds:.1f}", "*" if point in best else "") for point in found.points]  # fmt: skip
    whole = amount(found.documents * full)
    rows.append((str(full), "full vectors", f"{found.full[MAIN]:.3f}", "", whole, "", "", "", ""))
    _, chosen_on, told_on = found.measured_on
    how = f"chosen on {chosen_on:,} queries, reported on {told_on:,} others; * nothing as small keeps as much"
    return "\n".join([*(PLAN.format(*row).rstrip() for row in rows), "", how, "", found.recommendation])


def kept(part: Share) -> str:
    """A share with half of its interval."""
    return f"{100 * part.value:.1f} % ± {50 * (part.high - part.low):.1f}"


def _metrics(values: Mapping[str, float]) -> list[str]:
    return [f"{values[name]:.3f}" for name in (MAIN, "recall@100")]
