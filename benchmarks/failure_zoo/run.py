"""Does the doctor find the failures it should, and leave healthy runs alone? Failures induced, run by run."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package

from cases import BASES, CASES, HEALTHY, Base, Case
from changes import smaller
from figure import draw
from scoring import scored, severity, show

import measure
from data_sets import SHARED, STDLIB, data_set
from measure import say

if TYPE_CHECKING:  # imports torch, which reads the allocator's setting when it starts
    import numpy as np
    from numpy.typing import NDArray

    from nearfar.pipeline.doctor import Diagnosis

METRIC = "ndcg@10"
ANOTHER = {STDLIB: "nl2bash"}  # set that a tuned token table comes from; of all others the standard library
WORSE = 0.02  # nDCG below the twin from which on a run counts as failing, if the interval excludes 0 as well
MEETING = 0.25  # share of the queries that meet a copy of their answer: five times what the guide holds for usual
QUICK = {"sets": [STDLIB], "failures": ["collapse"], "seeds": [0], "most": 3}


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--sets", nargs="+", default=[STDLIB, "nl2bash", "medquad"], help="data sets, in BEIR format")
    parser.add_argument("--data", type=Path, default=SHARED, help="folder with the data sets")
    parser.add_argument("--failures", nargs="*", default=list(CASES)[1:], choices=list(CASES)[1:],
                        help="none named: healthy runs alone")  # fmt: skip
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--most", type=int, default=0, help="cases of each kind, spread over all; 0: all")
    parser.add_argument("--base", default="static", choices=list(BASES))
    options = measure.options(parser, QUICK)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    allocator = measure.choose_allocator(plain=options.plain_allocator)
    runs: list[dict[str, Any]] = measure.earlier(options.out, {"runs": []})["runs"]
    for seed in options.seeds:
        for name in options.sets:
            for row in Keeper(name, seed, options).rows({_key(row) for row in runs}):
                runs.append(row)
                if options.out:
                    measure.write({"runs": runs}, options.out)
    result = scored(runs)
    show(result)
    rows = [{key: value for key, value in run.items() if key != "figures"} for run in runs]  # they are megabytes
    measure.finish({**measure.facts(allocator), "result": result, "runs": rows}, options.out)
    if options.out:
        draw(runs, options.out.with_suffix(".svg"))


def _spread(cases: Iterable[Case], most: int) -> list[Case]:
    """So many of the cases, from the first to the last; all where it is 0."""
    whole = list(cases)
    if most in (0, 1) or most >= len(whole):
        return whole[: most or None]
    return [whole[place * (len(whole) - 1) // (most - 1)] for place in range(most)]


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[key] for key in ("set", "base", "seed", "failure", "strength"))


@dataclass(frozen=True)
class Trained:
    """A model and nDCG@10 of each test query of its case's exam."""

    path: Path
    ndcg: NDArray[np.float64]


class Keeper:
    """One data set and seed: trains each case and its twin, and has the doctor look at what comes out."""

    def __init__(self, name: str, seed: int, options: argparse.Namespace) -> None:
        from nearfar.data.config import DataConfig
        from nearfar.data.split import ensure_splits

        self.name, self.seed, self.options = name, seed, options
        self.base: Base = BASES[options.base]
        whole = ensure_splits(data_set(name, options.data), DataConfig())
        self.start: str | Path = self.base.name
        self.clean = smaller(whole, self.base.size, self.base.words, seed)
        self.twins: dict[str, Trained] = {}
        self.fixed: dict[tuple[str, str], float] = {}
        self.own = Case(HEALTHY, "twin", self.clean)

    def rows(self, known: set[tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
        """A row for each case that is not known yet, and for each twin."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            if self.base.on_another_set:
                self.start = self._trained_on_another_set(folder / "base")
            for kind in (HEALTHY, *self.options.failures):
                for case in _spread(CASES[kind](self.clean, self.base, self.seed), self.options.most):
                    if _key(self._named(case)) in known:
                        continue
                    twin = case.twin or self.own
                    if twin.strength not in self.twins:
                        self.twins[twin.strength] = self._trained(twin, folder / f"twin {len(self.twins)}")
                        if _key(self._named(twin)) not in known:
                            yield self._named(twin) | self._looked_at(twin, self.twins[twin.strength], folder)
                    yield self._named(case) | self._row(case, self.twins[twin.strength], folder)

    def _trained_on_another_set(self, folder: Path) -> Path:
        import nearfar

        other = data_set(ANOTHER.get(self.name, STDLIB), self.options.data)
        nearfar.fit(other, base="static", out=folder, mode="overwrite", reporter=_silent(),
                    config={"static.dimension": 256, "train.epochs": 4, "train.seed": self.seed})  # fmt: skip
        return folder / "model"

    def _named(self, case: Case) -> dict[str, Any]:
        return {"set": self.name, "base": self.base.name, "seed": self.seed, "failure": case.failure,
                "strength": case.strength}  # fmt: skip

    def _row(self, case: Case, twin: Trained, folder: Path) -> dict[str, Any]:
        from nearfar.core.errors import NearfarError

        try:
            model = self._trained(case, folder / "case")
            return self._looked_at(case, model, folder, twin)
        except NearfarError as error:  # training diverged: it has said so itself
            say(f"{self.name} {self.seed} {case.failure}, {case.strength}: {error}")
            return {"problem": str(error), "failing": True}

    def _looked_at(self, case: Case, model: Trained, folder: Path, twin: Trained | None = None) -> dict[str, Any]:
        import nearfar
        from nearfar.evaluate.statistics import compare

        began = time.perf_counter()
        index = twin.path if twin and case.asks else None
        found = nearfar.diagnose(model.path, index=index, data=self.clean if index else None)
        ndcg = self._asked(model.path, index) if index else model.ndcg
        against = compare(ndcg, twin.ndcg if twin else ndcg, seed=0)
        meeting = self._meeting(case, {}) if case.copies else 0.0
        worse = against.difference <= -WORSE and against.high < 0
        verdicts = {finding.failure: finding.verdict for finding in found.findings}
        row = {"ndcg": against.mean_a, "twin": against.mean_b, "verdicts": verdicts, "worse": worse,
               "meeting": meeting, "failing": meeting >= MEETING if case.copies else worse,
               "severity": {finding.failure: severity(finding) for finding in found.findings},
               "figures": {finding.failure: dict(finding.figures) for finding in found.findings}}  # fmt: skip
        if case.trained:
            row |= {key: nearfar.Run.open(model.path).record[key] for key in ("alarms", "steps")}
        if row["failing"] and verdicts.get(case.failure) == "fail":
            row["fixed"] = self._fixed(case, found, folder)
        say(f"{self.name} {self.seed} {case.failure}, {case.strength}: {against.mean_a:.3f}, twin "
            f"{against.mean_b:.3f}, meeting {meeting:.2f}, {verdicts}, fixed {row.get('fixed')}, "
            f"{time.perf_counter() - began:.0f} s")  # fmt: skip
        return row

    def _fixed(self, case: Case, found: Diagnosis, folder: Path) -> dict[str, float]:
        """nDCG@10 after the printed fix: trained again as the patch says; of an index, what is advised first."""
        import nearfar
        from nearfar.core.config import merged

        fix = next(finding.fix for finding in found.findings if finding.failure == case.failure)
        if case.asks:
            model = folder / "case" if case.trained else self.start
            back = fix.advice.startswith("ask with")
            return {"ndcg": float(self.twins[self.own.strength].ndcg.mean()) if back else
                    nearfar.evaluate(model, self.clean, metrics=[METRIC]).metrics[METRIC]}  # fmt: skip
        config = merged(merged({}, self._config(case)), fix.patch)
        key = (case.dataset.digest(), json.dumps(config, sort_keys=True))  # many settings have one fix
        if key not in self.fixed:
            self.fixed[key] = float(self._trained(replace(case, config=config), folder / "fixed").ndcg.mean())
        fixed = {"ndcg": self.fixed[key]}
        return fixed | ({"meeting": self._meeting(case, fix.patch)} if case.copies else {})

    def _config(self, case: Case) -> dict[str, Any]:
        return {**self.base.config, "train.seed": self.seed, **case.config}

    def _trained(self, case: Case, folder: Path) -> Trained:
        import nearfar

        if not case.trained:
            return Trained(Path(self.start), self.twins[self.own.strength].ndcg)
        run = nearfar.fit(case.dataset, base=str(self.start), out=folder, config=self._config(case), mode="overwrite",
                          reporter=_silent())  # fmt: skip
        exam = case.exam or self.clean
        return Trained(run.path, nearfar.evaluate(run.path, exam, metrics=[METRIC]).per_query[METRIC])

    def _asked(self, model: Path, index: Path) -> NDArray[np.float64]:
        """nDCG@10 of the clean test queries by this model, among the documents as the index has them."""
        from nearfar.encoder.encode import encode
        from nearfar.encoder.load import load_encoder
        from nearfar.encoder.precision import choose_policy
        from nearfar.evaluate.run import Run as Ranking
        from nearfar.index.exact import top_k
        from nearfar.index.generation import open_index
        from nearfar.pipeline.evaluate import scored

        judged, policy = self.clean.judged("test"), choose_policy()
        texts = [self.clean.queries.texts[row] for row in judged.queries]
        queries = encode(load_encoder(str(model), policy.device), texts, "query", policy)
        held = open_index(index / "index")
        place = {name: row for row, name in enumerate(held.ids)}
        documents = held.vectors[[place[name] for name in self.clean.documents.ids]]
        ranking = Ranking.ranked(*top_k(queries, documents, 10))
        return scored(ranking, judged, [METRIC]).per_query[METRIC]

    def _meeting(self, case: Case, patch: dict[str, Any]) -> float:
        """Share of the training queries with a copy of their answer among the negatives, in batches as they are drawn.

        What training masks is no negative. Which document is a copy of which is known from how the data were made.
        """
        import numpy as np

        from nearfar.core.config import merged
        from nearfar.data.training import training_pairs
        from nearfar.pipeline.config import FitConfig

        settings = FitConfig.parse(merged(merged({}, self._config(case)), patch), "zoo")
        assert case.twin
        source, known = (training_pairs(data, settings.data) for data in (case.dataset, case.twin.dataset))
        group = dict(zip(known.texts, known.groups.tolist(), strict=True))
        groups = np.array([group[text] for text in source.texts])
        order, size, met = np.random.default_rng(0).permutation(len(source)), settings.train.batch_size, []
        for start in range(0, len(order) - size + 1, size):
            batch = source.batch(order[start : start + size], 0, (0,))
            allowed = ~(
                batch.targets.known.dense(len(batch.documents)) | batch.targets.positives.dense(len(batch.documents))
            )
            same = groups[batch.queries][:, None] == groups[batch.documents]
            met.append((allowed & same & (groups[batch.queries] >= 0)[:, None]).any(axis=1))
        return float(np.concatenate(met).mean())


def _silent() -> Any:
    from nearfar.pipeline.progress import Silent

    return Silent()


if __name__ == "__main__":
    main()
