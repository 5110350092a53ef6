"""Is what `tune` chooses as good as the best of a grid of 24 points, and what share of the grid's time does it take?"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package

import measure
from data_sets import SHARED, STDLIB, data_set
from measure import say

if TYPE_CHECKING:  # imports torch, which reads the allocator's setting when it starts
    from nearfar.data.dataset import Dataset
    from nearfar.pipeline.config import FitConfig

METRIC = "ndcg@10"
SETS = (STDLIB, "nl2bash", "medquad")
GRID = [dict(zip(("learning_rate", "temperature", "batch_size"), point, strict=True))
        for point in itertools.product((0.005, 0.01, 0.02, 0.04), (0.02, 0.05, 0.1), (128, 512))]  # fmt: skip
BUDGET = 0.23  # of the seconds that the grid's trainings should take: foreseen on a busy machine they may take fewer
FIRST = 12  # points of the grid by which its seconds are foreseen
MOST_SHARE, MOST_LOSS = 0.25, 0.005
QUICK = {"sets": [STDLIB]}


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), help="data sets")
    parser.add_argument("--data", type=Path, default=SHARED, help="folder with the data sets medquad and nl2bash")
    parser.add_argument("--dimension", type=int, default=384, help="of the token table")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--dev-documents", type=int, default=3000, help="of the dev evaluations of both sides")
    options = measure.options(parser, QUICK)
    allocator = measure.choose_allocator(plain=options.plain_allocator)
    sets = measure.earlier(options.out, {"sets": {}})["sets"]
    for name in options.sets:
        sets[name] = one_set(name, options) | measure.facts(allocator)
        if options.out:
            measure.write(result_of(sets), options.out)
    show(sets)
    measure.finish(result_of(sets), options.out)


def result_of(sets: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "not_below": all(one["test"]["difference"] >= -MOST_LOSS for one in sets.values()),
        "soon_enough": all(one["share_of_grids_time"] <= MOST_SHARE for one in sets.values()),
        "largest_share": max(one["share_of_grids_time"] for one in sets.values()),
        "least_difference": min(one["test"]["difference"] for one in sets.values()),
        "sets": sets,
    }


def one_set(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train the grid and `tune` in turns; then what each chose is trained by `fit` and measured on test."""
    import nearfar
    from nearfar.pipeline.config import FitConfig

    dataset = data_set(name, options.data)
    values = {"base": "static", "static": {"dimension": options.dimension}, "train": {"epochs": options.epochs},
              "eval": {"dev_documents": options.dev_documents}}  # fmt: skip
    config = FitConfig.parse(values, "benchmark")
    grid = Grid(dataset, config)
    grid.train(FIRST)
    foreseen = grid.trained_s * len(GRID) / FIRST
    budget = BUDGET * foreseen
    say(f"{name}: the grid's trainings will take about {foreseen:.0f} s; tune gets {budget:.1f} s")
    turns = Turns(grid)
    with TemporaryDirectory() as folder, turns.clock:
        tuned = nearfar.tune(dataset, config=config, budget=budget, out=Path(folder) / "t.yaml", reporter=turns)
    grid.train(len(GRID))
    best = max(grid.found, key=lambda row: row["dev"])
    say(f"{name}: tune {tuned.settings} in {tuned.seconds:.1f} s of {grid.trained_s:.1f} s; grid {best}")
    chosen = {"tune": tuned.settings, "grid": best["settings"], "defaults": {}}
    return {
        "pairs": len(dataset.splits["train"].relevant),
        "settings": config.model_dump(mode="json", exclude_unset=True),
        "chosen": chosen,
        **on_test(dataset, config, chosen),
        "grid": {"seconds": grid.trained_s, "with_opening": grid.clock.wall_s, "cpu_seconds": grid.clock.cpu_s,
                 "points": grid.found},
        "tune": {**tuned.record(), "with_opening": turns.clock.wall_s, "cpu_seconds": turns.clock.cpu_s},
        "share_of_grids_time": tuned.seconds / grid.trained_s,
        "share_with_opening": turns.clock.wall_s / grid.clock.wall_s,
    }  # fmt: skip


class Clock:
    """Seconds spent inside its blocks."""

    wall_s = cpu_s = 0.0

    def __enter__(self) -> None:
        self.wall_s -= time.perf_counter()
        self.cpu_s -= time.process_time()

    def __exit__(self, *_: object) -> None:
        self.wall_s += time.perf_counter()
        self.cpu_s += time.process_time()


class Grid:
    """Every point trained in full and measured on dev; data, tokens and base are opened once, as `tune` does."""

    def __init__(self, dataset: Dataset, config: FitConfig) -> None:
        from nearfar.pipeline.probe import Prober
        from nearfar.pipeline.progress import Silent
        from nearfar.pipeline.session import open_session
        from nearfar.train.distributed import Workers

        self.clock = Clock()
        self.trained_s = 0.0
        self.found: list[dict[str, Any]] = []
        self.points = [GRID[i * 7 % len(GRID)] for i in range(len(GRID))]  # in an order that mixes all values
        with self.clock:
            session = open_session(config, dataset, None, Silent(), Workers())
            self.prober = Prober(session, tuple(GRID[0]))
            self.prober.shortest(1.0)  # what is set up once in a process is not the first point's
            _ = self.prober.base

    def train(self, until: int) -> None:
        """Train points until so many are done."""
        for settings in self.points[len(self.found) : until]:
            before = self.clock.wall_s
            with self.clock:
                probe = self.prober.run(settings, 1.0)
            self.trained_s += self.clock.wall_s - before
            self.found.append({"settings": settings, "dev": probe.mean})


class Turns:
    """A reporter that stops `tune` after a probe, until the grid is as far: a busy minute meets both."""

    def __init__(self, grid: Grid) -> None:
        self.grid, self.clock, self.begun = grid, Clock(), 0.0

    def say(self, line: str) -> None:
        """Train points of the grid while it is behind."""
        self.clock.__exit__()
        if " pairs: " in line:
            say(line)
            while len(self.grid.found) < len(GRID) and self.grid.trained_s * BUDGET < self.clock.wall_s - self.begun:
                self.grid.train(len(self.grid.found) + 1)
        self.clock.__enter__()

    @contextmanager
    def bar(self, _title: str, _total: int) -> Iterator[Callable[[int, str], None]]:
        self.clock.__exit__()
        self.begun = self.clock.wall_s
        self.clock.__enter__()
        yield lambda _done, _note: None


def on_test(dataset: Dataset, config: FitConfig, chosen: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """nDCG@10 on test after `fit` with each of the settings, and tune minus grid with its paired interval."""
    import numpy as np

    import nearfar
    from nearfar.core.config import merged
    from nearfar.evaluate.statistics import compare
    from nearfar.pipeline.progress import Silent

    scores, seconds = {}, []
    for name, settings in chosen.items():
        values = merged(config.model_dump(exclude_unset=True), {"train": settings})
        with TemporaryDirectory() as folder:
            took, run = measure.timed(
                lambda: nearfar.fit(dataset, config=values, out=Path(folder) / "run", reporter=Silent())  # noqa: B023
            )
            seconds.append(took)
            scores[name] = np.load(run.path / "data" / "per_query.npz")[f"model/{METRIC}"]
        say(f"test, {name}: {METRIC} {scores[name].mean():.4f}")
    comparison = compare(scores["tune"], scores["grid"], seed=0)
    return {"test": asdict(comparison), "test_of_defaults": float(scores["defaults"].mean()), "fit_seconds": seconds}


def show(sets: Mapping[str, Mapping[str, Any]]) -> None:
    """Print a row for each data set."""
    rows = []
    for name, one in sets.items():
        c = one["test"]
        rows.append({"set": name, "defaults": one["test_of_defaults"], "grid": c["mean_b"], "tune": c["mean_a"],
                     "tune - grid": f"{c['difference']:+.4f} ({c['low']:+.4f} to {c['high']:+.4f})",
                     "grid, s": one["grid"]["seconds"], "tune, s": one["tune"]["seconds"],
                     "share": f"{one['share_of_grids_time']:.0%}",
                     "with opening": f"{one['share_with_opening']:.0%}"})  # fmt: skip
    measure.show("nDCG@10 on test with the settings chosen on dev", rows)


if __name__ == "__main__":
    main()
