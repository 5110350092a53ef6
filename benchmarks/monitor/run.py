"""What share of training does the monitor take?"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package

import measure

STEPS = {"static": 40, "minilm": 9}
LIMIT = 0.03
QUICK = {"bases": ["static"]}


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--bases", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[64, 256])
    options = measure.options(parser, QUICK)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the processor's seconds are then those of a quiet machine
    allocator = measure.choose_allocator(plain=options.plain_allocator)
    rows = [measured(base, size, options) for base in options.bases for size in options.batch_sizes]
    measure.show("The monitor's share of the steps", rows)
    within = all(row["share"] <= LIMIT for row in rows)
    measure.finish({"within_limit": within, "limit": LIMIT, "rows": rows, **measure.facts(allocator)}, options.out)


def measured(base: str, batch_size: int, options: argparse.Namespace) -> dict[str, Any]:
    """Median share over repeats, by the processor's seconds."""
    shares, steps = [], STEPS[base]
    for _ in range(options.repeats):
        total, watching, probes = trained(base, batch_size, steps)
        shares.append(watching / (total - watching))
    return {
        "base": base,
        "batch": batch_size,
        "steps": steps,
        "probes": probes,
        "share": sorted(shares)[len(shares) // 2],
    }


def trained(base: str, batch_size: int, steps: int) -> tuple[float, float, int]:
    """Seconds of a run's training and of the monitor in it, and how often it looked."""
    import nearfar
    from nearfar.data.stdlib import stdlib_dataset
    from nearfar.pipeline import training
    from nearfar.pipeline.progress import Silent
    from nearfar.train.loop import Trainer

    spent, took = [], []

    def timed(call: Callable[..., Any], into: list[float]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            began = time.process_time()
            result = call(*arguments)
            into.append(time.process_time() - began)
            return result

        return run

    watcher, whole = training.watcher, Trainer.run

    def limited(trainer: Trainer) -> Any:
        trainer.steps = steps
        return timed(whole, took)(trainer)

    config = {"train.batch_size": batch_size, "train.evaluations": 1, "eval.dev_documents": 100, "eval.dev_queries": 20}
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(training, "watcher", lambda *given: timed(watcher(*given), spent)),
        mock.patch.object(Trainer, "run", limited),
    ):
        nearfar.fit(stdlib_dataset(), base=base, out=Path(folder) / "run", config=config, reporter=Silent())
    return took[0], sum(spent), len(spent)


if __name__ == "__main__":
    main()
