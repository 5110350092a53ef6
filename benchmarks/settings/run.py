"""Temperature and batch size: negatives a query, peak memory and nDCG@10 after one epoch, each in a fresh process."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package

import measure
from measure import GIB, say

if TYPE_CHECKING:  # imports torch, which reads the allocator's setting when it starts
    from nearfar.data.dataset import Dataset
    from nearfar.pipeline.config import FitConfig

STDLIB, METRIC = "stdlib", "ndcg@10"
TEMPERATURES, TEMPERATURES_BATCH = (0.02, 0.05, 0.1), 256
BATCHES, QUICK_BATCHES, BATCHES_TEMPERATURE = (32, 128, 512, 2048), (32, 2048), 0.05
RATE_BATCH = 256  # pairs of a batch that is trained with the default learning rate
QUICK = {"base": "static"}
SAME = ("data", "base", "keep_gib", "seed")  # of all settings in a file

Setting = tuple[float, int]  # temperature, pairs of a batch


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--data", default=STDLIB, help="stdlib, or a folder or file as for nearfar fit")
    parser.add_argument("--base", default="minilm")
    parser.add_argument("--keep-gib", type=float, default=0.0, help="memory for kept graphs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--setting", nargs=2, help=argparse.SUPPRESS)  # in the fresh process
    options = measure.options(parser, QUICK)
    allocator = measure.choose_allocator(plain=options.plain_allocator)
    if options.setting:
        temperature, batch = options.setting
        measure.finish(one(float(temperature), int(batch), options) | measure.facts(allocator), None)
        return
    by_temperature = [(temperature, TEMPERATURES_BATCH) for temperature in TEMPERATURES]
    by_batch = [(BATCHES_TEMPERATURE, batch) for batch in (QUICK_BATCHES if options.quick else BATCHES)]
    found = run(list(dict.fromkeys(by_temperature + by_batch)), options)
    print(markdown([found[key(setting)] for setting in by_temperature]))
    together = {*by_batch, (BATCHES_TEMPERATURE, TEMPERATURES_BATCH)}
    print(markdown([found[key(setting)] for setting in sorted(together)]))
    measure.finish(result_of(found, options) | measure.facts(allocator), options.out)


def key(setting: Setting) -> str:
    return f"temperature {setting[0]:g}, batch {setting[1]}"


def result_of(found: Mapping[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    return {"quick": options.quick, **{name: getattr(options, name) for name in SAME}, "settings": found}


def run(settings: Sequence[Setting], options: argparse.Namespace) -> dict[str, Any]:
    """Measure what `--out` does not hold from earlier, and write it down after each."""
    found = finished(options)
    for setting in settings:
        if key(setting) in found:
            say(f"{key(setting)}: measured earlier")
            continue
        arguments = [text for name in SAME for text in (f"--{name.replace('_', '-')}", str(getattr(options, name)))]
        plain = ["--plain-allocator"] if options.plain_allocator else []
        found[key(setting)] = one_found = measure.in_fresh_process(
            __file__, "--setting", *map(str, setting), *arguments, *plain
        )
        say(f"{key(setting)}: {METRIC} {one_found[METRIC]:.3f}, {one_found['peak_gib']:.2f} GiB")
        if options.out:
            measure.write(result_of(found, options), options.out)
    return found


def finished(options: argparse.Namespace) -> dict[str, Any]:
    """The settings in `--out`, which must be of the same data and base."""
    earlier = measure.earlier(options.out, result_of({}, options))
    for name in SAME:
        if earlier[name] != getattr(options, name):
            sys.exit(f"{options.out}: expected {name} {getattr(options, name)}, found {earlier[name]}; "
                     "choose another --out")  # fmt: skip
    return dict(earlier["settings"])


def one(temperature: float, batch: int, options: argparse.Namespace) -> dict[str, Any]:
    """One epoch through the public `fit`."""
    import nearfar
    from nearfar.data.read import as_dataset
    from nearfar.data.split import ensure_splits
    from nearfar.data.stdlib import stdlib_dataset
    from nearfar.pipeline.config import FitConfig
    from nearfar.train.config import TrainConfig

    rate = TrainConfig().peak_learning_rate(static=options.base == "static") * (batch / RATE_BATCH) ** 0.5
    train = {"epochs": 1, "batch_size": batch, "temperature": temperature, "learning_rate": rate, "evaluations": 1,
             "seed": options.seed, "keep_gib": options.keep_gib}  # fmt: skip
    config = FitConfig.parse({"base": options.base, "train": train}, "settings")
    dataset = stdlib_dataset() if options.data == STDLIB else ensure_splits(as_dataset(options.data), config.data)
    with TemporaryDirectory() as folder:
        seconds, trained = measure.timed(lambda: nearfar.fit(dataset, out=Path(folder) / "run", config=config))
    record = trained.record
    return {
        "temperature": temperature,
        "batch_size": batch,
        "learning_rate": rate,
        "peak_gib": measure.resident("VmHWM") / GIB,
        "negatives": negatives(dataset, config),
        "steps": record["steps"],
        "train_seconds": record["train_seconds"],
        "fit_seconds": seconds,
        METRIC: record["metrics"]["model"][METRIC],
        "of_base": record["metrics"]["base"][METRIC],
        "of_bm25": record["metrics"]["bm25"][METRIC],
        "over_base": record["comparisons"]["base"],
        "kept_base": record["best_step"] == 0,
        "loss": record["losses"][-1],
        "precision": record["policy"]["precision"],
    }


def negatives(dataset: Dataset, config: FitConfig) -> float:
    """Mean number of in-batch negatives a query: the other documents of its batch."""
    import numpy as np

    from nearfar.data.batches import batch_source
    from nearfar.train.data import sampler_of

    source = batch_source(dataset)
    batches = sampler_of(source, config.train).epoch(0)
    return float(np.mean([len(np.unique(source.documents[pairs])) - 1 for pairs in batches]))


def markdown(found: Sequence[Mapping[str, Any]]) -> str:
    """A table for the documentation."""
    columns = ("temperature", "batch", "negatives a query", "steps", "learning rate", "peak memory", "training",
               "nDCG@10", "over the base (95 % interval)")  # fmt: skip
    lines = [columns, ("---",) * len(columns)]
    for row in found:
        c = row["over_base"]
        rate = f"{row['learning_rate']:.1e}".replace("e-0", "e-")
        lines.append((f"{row['temperature']:g}", f"{row['batch_size']:,}", f"{row['negatives']:,.0f}",
                      str(row["steps"]), rate, f"{row['peak_gib']:.1f} GiB", f"{row['train_seconds']:.0f} s",
                      f"{row[METRIC]:.3f}",
                      f"{c['difference']:+.3f} ({c['low']:+.3f} to {c['high']:+.3f})"))  # fmt: skip
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
