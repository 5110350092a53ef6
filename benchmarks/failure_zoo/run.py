"""Does the doctor find the failures it should, and leave healthy runs alone? Failures induced, run by run."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package

from cases import CASES, HEALTHY, Case, settings
from scoring import scored, show

import measure
from measure import say

if TYPE_CHECKING:  # imports torch, which reads the allocator's setting when it starts
    import numpy as np
    from numpy.typing import NDArray

    from nearfar.data.dataset import Dataset
    from nearfar.pipeline.run import Run

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
STDLIB, METRIC = "stdlib", "ndcg@10"
WORSE = 0.02  # nDCG below the twin from which on a run counts as failing, if the interval excludes 0 as well
QUICK = {"sets": [STDLIB], "failures": ["collapse"], "seeds": 1, "most": 3}


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--sets", nargs="+", default=[STDLIB, "nl2bash", "medquad"], help="data sets, in BEIR format")
    parser.add_argument("--data", type=Path, default=SHARED, help="folder with the data sets")
    parser.add_argument("--failures", nargs="+", default=list(CASES)[1:], choices=list(CASES)[1:])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--most", type=int, default=0, help="cases of each kind; 0: all")
    parser.add_argument("--base", default="static")
    options = parser.parse_args()
    if options.quick:
        parser.set_defaults(**QUICK)
        options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    allocator = measure.choose_allocator(plain=options.plain_allocator)
    runs: list[dict[str, Any]] = []
    if options.out and options.out.exists():
        runs = json.loads(options.out.read_text(encoding="utf-8"))["runs"]
    for seed in range(options.seeds):
        for name in options.sets:
            for row in Keeper(name, seed, options).rows({_key(row) for row in runs}):
                runs.append(row)
                if options.out:
                    measure.write({"runs": runs}, options.out)
    result = scored(runs)
    show(result)
    measure.finish({**measure.facts(allocator), "result": result, "runs": runs}, options.out)


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[key] for key in ("set", "base", "seed", "failure", "strength"))


class Keeper:
    """One data set and seed: trains a twin, then every case, and has the doctor look at each."""

    def __init__(self, name: str, seed: int, options: argparse.Namespace) -> None:
        self.name, self.seed, self.options = name, seed, options

    def rows(self, known: set[tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
        """A row for each case that is not known yet."""
        clean, twin = data_set(self.name, self.options.data), None
        for failure in (HEALTHY, *self.options.failures):
            for number, case in enumerate(CASES[failure](clean, self.seed)):
                key = (self.name, self.options.base, self.seed, failure, case.strength)
                if key in known or 0 < self.options.most <= number:
                    continue
                if twin is None:
                    twin = self._trained(Case(HEALTHY, "twin", clean), clean)[1]
                yield dict(zip(("set", "base", "seed", "failure", "strength"), key, strict=True)) | self._row(
                    case, clean, twin
                )

    def _row(self, case: Case, clean: Dataset, twin: NDArray[np.float64]) -> dict[str, Any]:
        from nearfar.core.errors import NearfarError
        from nearfar.evaluate.statistics import compare

        began = time.perf_counter()
        try:
            found, ndcg, steps = self._trained(case, clean)
        except NearfarError as error:  # training diverged: it has said so itself
            say(f"{self.name} {self.seed} {case.failure}, {case.strength}: {error}")
            return {"problem": str(error), "failing": True}
        against = compare(ndcg, twin, seed=0)
        verdicts = {finding["failure"]: finding["verdict"] for finding in found}
        say(f"{self.name} {self.seed} {case.failure}, {case.strength}: {against.mean_a:.3f}, twin "
            f"{against.mean_b:.3f}, {verdicts}, {time.perf_counter() - began:.0f} s")  # fmt: skip
        return {
            "ndcg": against.mean_a, "twin": against.mean_b,
            "failing": against.difference <= -WORSE and against.high < 0,
            "verdicts": verdicts, "steps": steps,
            "figures": {finding["failure"]: finding["figures"] for finding in found},
        }  # fmt: skip

    def _trained(self, case: Case, clean: Dataset) -> tuple[list[dict[str, Any]], NDArray[np.float64], int]:
        """What the doctor finds, and nDCG@10 of each clean test query."""
        import nearfar

        with tempfile.TemporaryDirectory() as folder:
            config = {**settings(self.seed), **case.config}
            run: Run = nearfar.fit(case.dataset, base=self.options.base, out=Path(folder) / "run", config=config,
                                   reporter=_silent())  # fmt: skip
            found = nearfar.diagnose(run.path).record()["findings"]
            ndcg = nearfar.evaluate(run.path, clean, metrics=[METRIC]).per_query[METRIC]
            return found, ndcg, run.record["steps"]


def _silent() -> Any:
    from nearfar.pipeline.progress import Silent

    return Silent()


def data_set(name: str, folder: Path) -> Dataset:
    """The standard library of this Python, or a BEIR set in the folder of data sets, with its splits."""
    from nearfar.data.config import DataConfig
    from nearfar.data.read import as_dataset
    from nearfar.data.split import ensure_splits
    from nearfar.data.stdlib import stdlib_dataset

    return ensure_splits(stdlib_dataset() if name == STDLIB else as_dataset(folder / name), DataConfig())


if __name__ == "__main__":
    main()
