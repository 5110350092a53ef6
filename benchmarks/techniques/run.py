"""Each technique against plain InfoNCE, trained for the same time, over several seeds; where it does not help, too."""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package

import measure
from data_sets import SHARED, STDLIB, data_set
from measure import say
from techniques import PLAIN, REFRESH_STEPS, RETRIEVAL, SIMILARITY, Technique

if TYPE_CHECKING:  # imports torch, which reads the allocator's setting when it starts
    from lab import Retrieval, Scores, Similarity

    from nearfar.data.dataset import Dataset

STSB = "stsb"
SETS = (STDLIB, "nl2bash", "medquad", STSB)
RATES = (0.5, 1.0, 2.0, 4.0)  # of the default learning rate; each technique has the one that is best on dev
SEEDS = 3
CALIBRATION = {True: (20, 5), False: (4, 2)}  # steps and turns, for a token table or a transformer
TEACHER = {"train": {"epochs": 1, "max_document_tokens": 128, "evaluations": 2}, "eval": {"dev_documents": 3000}}
QUICK = {"sets": [STDLIB], "only": ["focal", "self_distillation"], "epochs": 2, "seeds": 2}


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), help="data sets")
    parser.add_argument("--data", type=Path, default=SHARED, help="folder with the data sets")
    parser.add_argument("--work", type=Path, default=Path("techniques-work"), help="folder for teachers and scores")
    parser.add_argument("--base", default="static", help="what is trained: static or minilm")
    parser.add_argument("--dimension", type=int, default=384, help="of the token table")
    parser.add_argument("--epochs", type=float, default=8, help="of plain InfoNCE; all others have its time")
    parser.add_argument("--pairs", type=int, default=0, help="training pairs drawn of each set; 0: all")
    parser.add_argument("--sample", type=int, nargs=2, help="queries and documents of an evaluation; all when left out")
    parser.add_argument("--document-tokens", type=int, default=256, help="where documents are cut")
    parser.add_argument("--rates", type=float, nargs="+", default=RATES, help="of the default learning rate")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--only", nargs="+", default=[], help="techniques beside plain InfoNCE; all when left out")
    options = measure.options(parser, QUICK)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the processor's seconds are then those of a quiet machine
    allocator = measure.choose_allocator(plain=options.plain_allocator)
    sets = measure.earlier(options.out, {"sets": {}})["sets"]
    for name in options.sets:
        study = Study(name, options, sets.setdefault(name, {"techniques": {}}))
        for technique in study.techniques:
            if "test" not in study.record["techniques"].get(technique, {}):
                study.measure(technique)
            if options.out:
                measure.write({"sets": sets}, options.out)
        study.record.update(measure.facts(allocator))
        show(name, study.record)
    measure.finish({"sets": sets}, options.out)


class Study:
    """The techniques on one data set; what is found goes into `record`."""

    def __init__(self, name: str, options: argparse.Namespace, record: dict[str, Any]) -> None:
        self.name, self.options, self.record = name, options, record
        self.lab = open_lab(name, options)
        every = SIMILARITY if name == STSB else RETRIEVAL
        self.techniques = {key: every[key] for key in every if key == PLAIN or key in (options.only or every)}
        source = self.lab.source(self.techniques[PLAIN].data)[1]
        batch = self.lab.config.train.batch_size
        self.plain_steps = round(options.epochs * -(-len(source) // batch))
        self.record["pairs"], self.record["plain_steps"] = len(source), self.plain_steps

    def measure(self, name: str) -> None:
        """Train with each learning rate, then with each seed at the best, all for the time of plain InfoNCE."""
        from nearfar.core.errors import NearfarError

        technique = self.techniques[name]
        try:
            relative = self._relative_cost(technique)
        except NearfarError as error:  # of one technique: the others are still to be compared
            self.record["techniques"][name] = {"problem": str(error)}
            say(f"{self.name}, {name}: {error}")
            return
        steps = max(1, round(self.plain_steps / relative))
        first = {rate: self._scores(technique, 0, rate, steps) for rate in self.options.rates}
        rate = max(self.options.rates, key=lambda rate: self.lab.value(first[rate][0]["dev"], "dev"))
        found = [first[rate], *(self._scores(technique, seed, rate, steps) for seed in range(1, self.options.seeds))]
        tested = [scores["test"] for scores, _ in found]
        if name == PLAIN:
            self._keep(tested)
        values = [self.lab.value(scores, "test") for scores in tested]
        difference, low, high = self.lab.difference(tested, self._plain)
        halves = [self.lab.value(scores["half"], "test") for scores, _ in found if "half" in scores]
        self.record["techniques"][name] = {
            "test": sum(values) / len(values), "seeds": values, "difference": difference, "low": low, "high": high,
            "dev": self.lab.value(first[rate][0]["dev"], "dev"), "rate": rate, "steps": steps,
            "cost_of_a_step": relative, "training_s": [seconds for _, seconds in found],
            "prepared_s": self.lab.prepared_s.get(technique.data, 0.0),
            **({"half": sum(halves) / len(halves)} if halves else {}),
        }  # fmt: skip
        say(f"{self.name}, {name}: {self.record['techniques'][name]['test']:.4f} ({difference:+.4f}, {low:+.4f} to "
            f"{high:+.4f}), a step costs {relative:.2f}, rate {rate}")  # fmt: skip

    def _scores(self, technique: Technique, seed: int, rate: float, steps: int) -> tuple[dict[str, Scores], float]:
        done = self.lab.train(technique, seed=seed, rate=rate, steps=steps)
        return self.lab.scores(done.encoder, technique), done.training_s

    def _relative_cost(self, technique: Technique) -> float:
        """Processor time of a step in steps of plain InfoNCE: each in its best of several turns, side by side."""
        plain = self.techniques[PLAIN]
        if technique is plain:
            return 1.0
        few, count = CALIBRATION[self.lab.session.space.encoder.is_static]
        steps = 1 + (REFRESH_STEPS if "mine" in technique.train else min(few, self.plain_steps))
        turns = [[self.lab.train(one, seed=0, rate=1.0, steps=steps).step_s for one in (technique, plain)]
                 for _ in range(count)]  # fmt: skip
        ours, theirs = zip(*turns, strict=True)
        return min(ours) / min(theirs)

    @property
    def _file(self) -> Path:
        return Path(self.options.work) / f"{self.name}-{self.options.base}-plain.npz"

    def _keep(self, tested: list[Scores]) -> None:
        import numpy as np

        self._file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(self._file, *tested)

    @property
    def _plain(self) -> list[Scores]:
        import numpy as np

        with np.load(self._file) as arrays:
            return [arrays[name] for name in arrays.files]


def open_lab(name: str, options: argparse.Namespace) -> Retrieval | Similarity:
    from lab import Retrieval, Similarity

    from nearfar.pipeline.config import FitConfig

    values: dict[str, Any] = {"base": options.base, "static": {"dimension": options.dimension},
                              "train": {"max_document_tokens": options.document_tokens}}  # fmt: skip
    if name == STSB:  # its dev and test pairs have files of their own
        values["data"] = {"dev_fraction": 0.001, "test_fraction": 0.001}
    config, work = FitConfig.parse(values, "benchmark"), Path(options.work)
    if name != STSB:
        dataset = data_set(name, options.data)
        lab = Retrieval(dataset, config, work / name, options.pairs, lambda: teacher(name, dataset, work))
        lab.sample = options.sample and tuple(options.sample)
        return lab
    rows = {split: sentences(options.data / STSB / f"pairs-{split}.tsv") for split in ("train", "dev", "test")}
    return Similarity.of(rows, config, work / name, options.pairs)


def sentences(file: Path) -> list[tuple[str, str, float]]:
    with file.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [(row["sentence1"], row["sentence2"], float(row["score"])) for row in rows]


def teacher(name: str, dataset: Dataset, work: Path) -> Path:
    """MiniLM trained on the same pairs, one epoch; kept in the folder of work."""
    import torch

    import nearfar

    folder = work / f"{name}-teacher"
    if not (folder / "run.json").exists():
        threads = torch.get_num_threads()
        torch.set_num_threads(os.cpu_count() or 1)  # it is not measured
        mode = "resume" if folder.exists() else "new"
        nearfar.fit(dataset, base="minilm", out=folder, config=TEACHER, mode=mode)
        torch.set_num_threads(threads)
    return folder


def show(name: str, record: Mapping[str, Any]) -> None:
    """Print a row for each technique, the best first."""
    found = {key: row for key, row in record["techniques"].items() if "problem" not in row}
    rows = [{"technique": key, "test": f"{row['test']:.4f}", "to plain": f"{row['difference']:+.4f}",
             "95 %": f"{row['low']:+.4f} to {row['high']:+.4f}",
             "seeds": f"{min(row['seeds']):.4f} to {max(row['seeds']):.4f}",
             "a step costs": row["cost_of_a_step"], "rate": row["rate"]}
            for key, row in sorted(found.items(), key=lambda item: -item[1]["test"])]  # fmt: skip
    measure.show(f"{name}: {record['pairs']:,} pairs, {record['plain_steps']:,} steps of plain InfoNCE", rows)


if __name__ == "__main__":
    main()
