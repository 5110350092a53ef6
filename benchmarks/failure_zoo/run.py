"""Does the doctor find the failures it should, and leave healthy runs alone? Failures induced, run by run."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
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
    from nearfar.pipeline.doctor import Diagnosis

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
    """One data set and seed: trains each case and its twin, and has the doctor look at what comes out."""

    def __init__(self, name: str, seed: int, options: argparse.Namespace) -> None:
        self.name, self.seed, self.options = name, seed, options
        self.clean = data_set(name, options.data)
        self.twins: dict[str, tuple[Path, NDArray[np.float64]]] = {}
        self.own = Case(HEALTHY, "twin", self.clean)

    def rows(self, known: set[tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
        """A row for each case that is not known yet."""
        with tempfile.TemporaryDirectory() as folder:
            for kind in (HEALTHY, *self.options.failures):
                for number, case in enumerate(CASES[kind](self.clean, self.seed)):
                    row = {"set": self.name, "base": self.options.base, "seed": self.seed, "failure": case.failure,
                           "strength": case.strength}  # fmt: skip
                    if _key(row) not in known and not 0 < self.options.most <= number:
                        yield row | self._row(case, Path(folder))

    def _row(self, case: Case, folder: Path) -> dict[str, Any]:
        import nearfar
        from nearfar.core.errors import NearfarError
        from nearfar.evaluate.statistics import compare

        began = time.perf_counter()
        twin, healthy = self._twin(case.twin or self.own, folder)
        try:
            path, ndcg = self._trained(case, folder / "case")
            found = nearfar.diagnose(path, index=twin) if case.asks else nearfar.diagnose(path)
            if case.asks:
                ndcg = self._asked(path, twin)
        except NearfarError as error:  # training diverged: it has said so itself
            say(f"{self.name} {self.seed} {case.failure}, {case.strength}: {error}")
            return {"problem": str(error), "failing": True}
        record, against = nearfar.Run.open(path).record, compare(ndcg, healthy, seed=0)
        failing = against.difference <= -WORSE and against.high < 0
        verdicts = {finding.failure: finding.verdict for finding in found.findings}
        say(f"{self.name} {self.seed} {case.failure}, {case.strength}: {against.mean_a:.3f}, twin "
            f"{against.mean_b:.3f}, {verdicts}, {time.perf_counter() - began:.0f} s")  # fmt: skip
        return {
            "ndcg": against.mean_a, "twin": against.mean_b, "verdicts": verdicts,
            "failing": failing,
            **(self._fixed(case, found, folder) if failing and verdicts.get(case.failure) == "fail" else {}),
            "figures": {finding.failure: dict(finding.figures) for finding in found.findings},
            "alarms": record["alarms"], "steps": record["steps"],
        }  # fmt: skip

    def _fixed(self, case: Case, found: Diagnosis, folder: Path) -> dict[str, float]:
        """nDCG@10 after the printed fix: trained again as the patch says, or, of an index, embedded again."""
        import nearfar

        if case.asks:
            again = nearfar.evaluate(folder / "case", self.clean, metrics=[METRIC])
            return {"fixed": again.metrics[METRIC]}
        from nearfar.core.config import merged

        patch = next(finding.fix.patch for finding in found.findings if finding.failure == case.failure)
        config = merged(merged({}, {**settings(self.seed), **case.config}), patch)
        return {"fixed": float(self._trained(replace(case, config=config), folder / "fixed")[1].mean())}

    def _twin(self, case: Case, folder: Path) -> tuple[Path, NDArray[np.float64]]:
        if case.strength not in self.twins:
            self.twins[case.strength] = self._trained(case, folder / f"twin {len(self.twins)}")
        return self.twins[case.strength]

    def _trained(self, case: Case, folder: Path) -> tuple[Path, NDArray[np.float64]]:
        """The run, and nDCG@10 of each clean test query."""
        import nearfar

        config = {**settings(self.seed), **case.config}
        run = nearfar.fit(case.dataset, base=self.options.base, out=folder, config=config, mode="overwrite",
                          reporter=_silent())  # fmt: skip
        return run.path, nearfar.evaluate(run.path, self.clean, metrics=[METRIC]).per_query[METRIC]

    def _asked(self, model: Path, index: Path) -> NDArray[np.float64]:
        """nDCG@10 of the clean test queries by this model, among the documents as the index has them."""
        from nearfar.encoder.encode import encode
        from nearfar.encoder.load import load_encoder
        from nearfar.encoder.precision import choose_policy
        from nearfar.evaluate.run import Run as Ranking
        from nearfar.index.exact import open_index, top_k
        from nearfar.pipeline.evaluate import scored

        judged, policy = self.clean.judged("test"), choose_policy()
        texts = [self.clean.queries.texts[row] for row in judged.queries]
        queries = encode(load_encoder(model, policy.device), texts, "query", policy)
        ranking = Ranking.ranked(*top_k(queries, open_index(index / "index").vectors, 10))
        return scored(ranking, judged, [METRIC]).per_query[METRIC]


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
