"""80,000 in-batch negatives a query: seconds and peak memory of one step with minilm, and of a run with static."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package

import measure
from measure import GIB, say

if TYPE_CHECKING:  # imports torch, which reads the allocator's setting when it starts
    from nearfar.data.dataset import Dataset
    from nearfar.train.config import TrainConfig

PAIRS = 80_001  # a batch; PEG's 80,000 negatives
QUICK_PAIRS = {"minilm": 1_500, "static": 20_000}
STEPS, QUICK_STEPS = 5, 3  # of static
TOKENS = 32
LIMIT_GIB = 16.0


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--sides", nargs="+", choices=QUICK_PAIRS, default=list(QUICK_PAIRS), help="base models")
    parser.add_argument("--pairs", type=int, help=f"pairs of a batch ({PAIRS}, or {QUICK_PAIRS} with --quick)")
    parser.add_argument("--steps", type=int, help=f"steps of static ({STEPS}, or {QUICK_STEPS} with --quick)")
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)  # in the fresh process: the texts
    options = parser.parse_args()
    allocator = measure.choose_allocator(plain=options.plain_allocator)
    steps = options.steps or (QUICK_STEPS if options.quick else STEPS)
    if options.data:
        measure.finish(one_side(options.sides[0], options.data, options.pairs, steps), None)
        return
    pairs = {side: options.pairs or (QUICK_PAIRS[side] if options.quick else PAIRS) for side in options.sides}
    result = run(pairs, steps, plain=options.plain_allocator) | {"quick": options.quick}
    measure.finish(result | measure.facts(allocator), options.out)
    above = [side for side, found in result["sides"].items() if found["peak_gib"] > LIMIT_GIB]
    if above:
        sys.exit(f"expected at most {LIMIT_GIB:g} GiB, found more: {', '.join(above)}")


def run(pairs: Mapping[str, int], steps: int, *, plain: bool) -> dict[str, Any]:
    """Gather the texts once, and measure each side in a process of its own."""
    from texts import packages_dataset

    from nearfar.data.beir import write_beir

    sides: dict[str, Any] = {}
    with TemporaryDirectory() as folder:
        seconds, dataset = measure.timed(lambda: packages_dataset(max(pairs.values())))
        say(f"{max(pairs.values()):,} pairs of installed packages in {seconds:.0f} s")
        write_beir(dataset, Path(folder))
        for side, count in pairs.items():
            options = ["--sides", side, "--data", folder, "--pairs", str(count), "--steps", str(steps)]
            sides[side] = measure.in_fresh_process(__file__, *options, *(["--plain-allocator"] if plain else []))
    measure.show(f"Texts of up to {TOKENS} tokens", [{"base": side, **_row(found)} for side, found in sides.items()])
    peak = max(found["peak_gib"] for found in sides.values())
    return {
        "negatives": min(found["negatives"] for found in sides.values()),
        "peak_gib": peak,
        "within_limit": peak <= LIMIT_GIB,
        "limit_gib": LIMIT_GIB,
        "sides": sides,
    }


def _row(found: Mapping[str, Any]) -> dict[str, Any]:
    columns = ("negatives", "steps", "seconds", "pairs_per_s", "peak_gib", "precision")
    return {name: found[name] for name in columns}


def one_side(side: str, folder: Path, pairs: int, steps: int) -> dict[str, Any]:
    """Measure one base model in this process."""
    from nearfar.data.read import as_dataset

    dataset = first_pairs(as_dataset(folder), pairs)
    found = one_step(dataset, pairs) if side == "minilm" else whole_run(dataset, pairs, steps)
    peak = measure.resident("VmHWM") / GIB  # before anything is counted below
    say(f"{side}: {found['seconds']:.1f} s, at most {peak:.2f} GiB")
    return {"peak_gib": peak, "negatives": fewest_negatives(dataset), "batch_pairs": pairs, **found}


def first_pairs(dataset: Dataset, count: int) -> Dataset:
    """`dataset` with so many of its training pairs, all of them one batch."""
    import numpy as np

    train = dataset.splits["train"]
    kept = train.where(np.arange(len(train)) < count)
    return replace(dataset, splits={**dataset.splits, "train": kept})


def fewest_negatives(dataset: Dataset) -> int:
    """Negatives of the query that has the fewest, by what the loss excludes."""
    import numpy as np

    from nearfar.core.exclusions import exclusions
    from nearfar.data.batches import batch_source

    source = batch_source(dataset)
    targets = source.batch(np.arange(len(source)), 0, (0,)).targets
    row, column = exclusions(targets, "query", "document").pairs(np.arange(len(targets)))
    excluded = np.unique(row * targets.documents + column) // targets.documents
    return targets.documents - int(np.bincount(excluded).max())


def config_of(pairs: int, **settings: Any) -> TrainConfig:
    from nearfar.train.config import TrainConfig

    return TrainConfig(batch_size=pairs, max_query_tokens=TOKENS, max_document_tokens=TOKENS, evaluations=1, **settings)


def one_step(dataset: Dataset, pairs: int) -> dict[str, Any]:
    """Train minilm for one epoch of one batch, as `fit` trains, with nothing evaluated."""
    from nearfar.data.batches import batch_source
    from nearfar.encoder.encode import open_store
    from nearfar.encoder.load import load_encoder
    from nearfar.encoder.precision import choose_policy
    from nearfar.train.checkpoint import Checkpoints
    from nearfar.train.data import training_data
    from nearfar.train.estimate import with_kept_memory
    from nearfar.train.loop import Callbacks, Trainer
    from nearfar.train.memory import check_fits, need_of
    from nearfar.train.step import StepResult

    config = config_of(pairs, epochs=1)
    encoder, source = load_encoder("minilm"), batch_source(dataset)
    policy = with_kept_memory(choose_policy("cpu"), config)
    policy = replace(
        policy, keep_bytes=min(policy.keep_bytes, int(LIMIT_GIB * GIB / 3))
    )  # as if that were all there is
    check_fits(need_of(encoder, config, policy, len(source)), policy.device)
    store = open_store(encoder)
    tokenise_s, data = measure.timed(lambda: training_data(source, encoder, store, config))
    times: list[float] = []  # before and after the step
    results: list[StepResult] = []

    def on_eval(_: object) -> float:
        times.append(time.perf_counter())
        return 0.0

    callbacks = Callbacks(on_eval=on_eval, on_step=lambda _, result: results.append(result))
    with TemporaryDirectory() as folder:
        trainer = Trainer(encoder, data, config, policy, Checkpoints(Path(folder)), "", callbacks)
        progress = trainer.run()
    (result,), seconds = results, times[1] - times[0]
    return {
        "steps": 1,
        "seconds": seconds,
        "pairs_per_s": pairs / seconds,
        "tokenise_seconds": tokenise_s,
        "tokens_a_pair": result.real_tokens / pairs,
        "padded_tokens_a_pair": result.padded_tokens / pairs,
        "micro_batches": result.micro_batches,
        "kept_micro_batches": result.kept,
        "keep_gib": policy.keep_bytes / GIB,
        "precision": policy.precision,
        "loss": progress.losses[0],
    }


def whole_run(dataset: Dataset, pairs: int, steps: int) -> dict[str, Any]:
    """`nearfar.fit` from a fresh token table: every epoch is one batch; BM25, both models and the index included."""
    import nearfar

    with TemporaryDirectory() as folder:
        config = {"train": config_of(pairs, epochs=steps).model_dump(exclude_unset=True)}
        seconds, run = measure.timed(
            lambda: nearfar.fit(dataset, base="static", out=Path(folder) / "run", config=config)
        )
    record = run.record
    return {
        "steps": record["steps"],
        "seconds": record["train_seconds"],
        "pairs_per_s": pairs * record["steps"] / record["train_seconds"],
        "fit_seconds": seconds,
        "precision": record["policy"]["precision"],
        "loss": record["losses"],
        "ndcg@10": {name: found["ndcg@10"] for name, found in record["metrics"].items()},
    }


if __name__ == "__main__":
    main()
