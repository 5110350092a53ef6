"""`plan`: what each codec keeps of a run's quality at each size, and which one to take within a budget."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.compress.codec import Sample
from nearfar.compress.plan import Point, choose, frontier, sizes_of
from nearfar.compress.registry import CODECS, check_labels, check_size, fit, kind_of
from nearfar.core.errors import BadInput
from nearfar.data.dataset import Dataset
from nearfar.data.read import Item
from nearfar.index.codes import CodedIndex
from nearfar.pipeline.coding import Asked, Bench, measured
from nearfar.pipeline.compress import CODEC
from nearfar.pipeline.config import MAIN_METRIC
from nearfar.pipeline.progress import Reporter, Silent
from nearfar.report.filters import amount

DOCUMENTS, BUDGET = 1_000_000, 32
TIMED_ROWS = 1 << 16  # codes that a query's time is taken over: enough that a call's own cost does not count
TIMED_QUERIES = 5
HITS = 10
PATIENCE_S = 10.0  # for fitting a codec at other sizes than the budget, unless they were asked for


@dataclass(frozen=True)
class Plan:
    """What was measured, and what to take."""

    run: str
    documents: int  # planned for
    budget: int  # bytes a vector
    dimension: int
    measured_on: tuple[int, int, int]  # documents, queries to choose with, queries to report on
    full: dict[str, float]  # metrics of the full vectors
    points: tuple[Point, ...]
    choice: Point

    @property
    def command(self) -> str:
        """What makes the codes of the choice."""
        named = "" if self.choice.codec == CODEC else f" --codec {self.choice.codec}"
        return f"nearfar compress {shlex.quote(self.run)} --bytes {self.choice.size_bytes}{named}"

    @property
    def recommendation(self) -> str:
        """The choice in one sentence."""
        kept, size = self.choice.kept, self.choice.size_bytes
        share = f"{100 * kept.value:.1f} % ± {50 * (kept.high - kept.low):.1f} of full nDCG@10"
        codes, codec = amount(self.documents * size), amount(self.choice.codec_bytes)
        return f"{size} bytes: {share}; {self.documents:,} documents in {codes}, and a codec of {codec}: {self.command}"

    def record(self) -> dict[str, Any]:
        """As JSON."""
        best = frontier(self.points)
        points = [self._listed(point) | {"frontier": point in best, "recommended": point == self.choice}
                  for point in self.points]  # fmt: skip
        return {"points": points, "recommendation": self.recommendation}

    def kept(self) -> dict[str, Any]:
        """What is kept of it: the record, and what it was measured and planned for."""
        documents, chosen_on, told_on = self.measured_on
        return {**self.record(), "run": self.run, "planned_for": self.documents, "budget": self.budget,
                "documents": documents, "chosen_on": chosen_on, "queries": told_on,
                "full": {"bytes": 4 * self.dimension, **self.full}}  # fmt: skip

    def _listed(self, point: Point) -> dict[str, Any]:
        retained = {f"retained_{name}": value for name, value in point.retained.items()}
        return {"codec": point.codec, "bytes": point.size_bytes, **point.metrics, **retained,
                "interval": [point.kept.low, point.kept.high], "dev_retained_ndcg@10": point.chosen_by,
                "index_bytes": self.documents * point.size_bytes, "codec_bytes": point.codec_bytes,
                "ms_per_query": round(point.ms_per_query, 3), "fit_seconds": round(point.fit_seconds, 3)}  # fmt: skip


def plan(  # noqa: PLR0913  # all but the run by keyword
    run: str | Path,
    *,
    data: Dataset | str | Path | Sequence[Item] | None = None,
    documents: int = DOCUMENTS,
    budget: int = BUDGET,
    codecs: Sequence[str] | None = None,
    sizes: Sequence[int] | None = None,
    unlabelled: bool = False,
    reporter: Reporter | None = None,
) -> Plan:
    """Fit codecs to a run's documents in memory, and measure what each keeps: chosen on dev, reported on test.

    Args:
        data: queries to fit to and to measure with, as `fit` takes them; left out, the run's own.
        documents: that the index is to hold, for its size and the time of a query.
        budget: bytes a vector, at most.
        codecs: names; left out, all there are.
        sizes: bytes a vector; left out, the budget and round ones, as many as can be fitted in 10 s a codec.
        unlabelled: fit learned codecs to passages of the documents, in the place of the training queries.

    Raises:
        BadInput: run, index or data cannot be read, or no codec has such a size.
    """
    for name in codecs or ():
        check_labels(name, found=not unlabelled)
    possible = codecs or [name for name, kind in CODECS.items() if not (unlabelled and kind.labelled)]
    bench = Bench.open(run, data, reporter or Silent())
    work = _work(bench, list(dict.fromkeys(possible)), sizes, budget)
    asked = _questions(bench)
    kinds = {kind_of(name).learned for name in work}
    samples = {learned: bench.sample(learned=learned, unlabelled=unlabelled) for learned in kinds}
    points: list[Point] = []
    for name, wanted in work.items():
        job = _Job(bench, name, samples[kind_of(name).learned], asked, documents)
        points += job.points(wanted, patience_s=PATIENCE_S if sizes is None else math.inf)
    points.sort(key=lambda point: (point.size_bytes, -point.kept.value))
    rows, dimension = bench.index.vectors.shape
    return Plan(str(run), documents, budget, dimension, (rows, *(len(part.vectors) for part in asked)),
                dict(asked[1].full.metrics), tuple(points), choose(points, budget))  # fmt: skip


def _work(bench: Bench, codecs: Sequence[str], sizes: Sequence[int] | None, budget: int) -> dict[str, list[int]]:
    """Codecs and the sizes of each to measure; one that cannot be had is told and left out.

    Raises:
        BadInput: none is left within the budget.
    """
    documents, dimension = bench.index.vectors.shape
    work: dict[str, list[int]] = {}
    refused = []
    for name in codecs:
        for size in dict.fromkeys(sizes or sizes_of(kind_of(name), dimension, budget)):
            try:
                check_size(name, size, dimension=dimension, documents=documents)
                work.setdefault(name, []).append(size)
            except BadInput as error:
                refused.append(error)
                bench.reporter.say(f"left out: {error}")
    if refused and not work:
        raise refused[0]
    if not any(size <= budget for found in work.values() for size in found):
        least = min((size for name in codecs for size in kind_of(name).sizes(dimension)), default=0)
        raise BadInput.at("budget", expected=f"{least} bytes or more, and a size within it", found=f"{budget}",
                          do="raise it, or give smaller sizes")  # fmt: skip
    return work


def _questions(bench: Bench) -> tuple[Asked, Asked]:
    """Queries to choose with and to report on: dev and test, or two halves of test where there is no dev."""
    if "dev" in bench.dataset.splits and len(bench.dataset.splits["dev"].relevant):
        return bench.asked("dev"), bench.asked("test")
    bench.reporter.say("no dev queries: half of the test queries choose, and the other half is reported on")
    queries = np.random.default_rng(0).permutation(bench.judged("test").queries)
    pairs = bench.dataset.splits["test"]
    halves = (pairs.where(np.isin(pairs.queries, queries[part::2])) for part in (0, 1))
    chosen_on, told_on = (replace(bench.dataset, splits={"test": half}).judged("test") for half in halves)
    return bench.answered(chosen_on), bench.answered(told_on)


@dataclass(frozen=True)
class _Job:
    """A codec, fitted and measured at several sizes."""

    bench: Bench
    name: str
    sample: Sample
    asked: tuple[Asked, Asked]
    documents: int  # planned for

    def points(self, sizes: Sequence[int], patience_s: float) -> Iterator[Point]:
        """A point for the first size, and for those of the others that can be fitted in so long; the rest is told."""
        spent, rate, left = 0.0, 0.0, []
        for number, size in enumerate(sizes):
            if number and spent + rate * size > patience_s:
                left.append(size)
                continue
            point = self.point(size)
            spent += point.fit_seconds if number else 0
            rate = max(rate, point.fit_seconds / size)
            yield point
        if left:
            asked = ",".join(map(str, sorted(left)))
            why = f"which take long to fit; measure them with --codecs {self.name} --bytes {asked}"
            self.bench.reporter.say(f"left out: {self.name} at {asked} bytes, {why}")

    def point(self, size: int) -> Point:
        """Fit and measure at one size."""
        start = time.perf_counter()
        codec = fit(self.name, self.sample, size)
        seconds = time.perf_counter() - start
        index = self.bench.index
        codes = codec.encode(index.vectors)
        coded = CodedIndex(self.name, codec, codes, index.fingerprint, self.bench.identity)
        chosen_by, told = (measured(coded, part, index.vectors) for part in self.asked)
        kept = told.kept[MAIN_METRIC]
        say = self.bench.reporter.say
        say(f"{self.name}, {size} bytes: {100 * kept.value:.1f} % of full nDCG@10, fitted in {seconds:.1f} s")
        retained = {key: part.value for key, part in told.kept.items()}
        return Point(self.name, size, chosen_by.kept[MAIN_METRIC].value, kept, told.metrics, retained,
                     _latency(coded, self.asked[1], self.documents), seconds, coded.codec_bytes)  # fmt: skip


def _latency(coded: CodedIndex, asked: Asked, documents: int) -> float:
    """Milliseconds to rank so many documents for one query: measured over some, the same codes again and again."""
    rows = min(documents, TIMED_ROWS)
    repeated = np.resize(coded.codes, (rows, coded.codes.shape[1]))
    many = replace(coded, codes=repeated)
    times = []
    for row in range(TIMED_QUERIES):
        query = asked.vectors[row % len(asked.vectors)][None]
        start = time.perf_counter()
        many.search(query, HITS, coded.fingerprint)
        times.append(time.perf_counter() - start)
    return 1000 * min(times) * documents / rows  # the least: what else the machine does is not the codec's
