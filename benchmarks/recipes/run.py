"""Is each recipe better than plain InfoNCE with the defaults, and than the base? Whole runs on whole data sets."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package

import measure
from data_sets import SHARED, STDLIB, cut, data_set

if TYPE_CHECKING:  # imports torch, which reads the allocator's setting when it starts
    from nearfar.pipeline.run import Run

PLAIN, METRIC = "plain", "ndcg@10"
RECIPES = (PLAIN, "balanced", "strong")
QUICK = {"sets": [STDLIB], "recipes": [PLAIN, "balanced"], "base": "static"}


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--sets", nargs="+", default=[STDLIB, "nl2bash", "medquad"], help="data sets, in BEIR format")
    parser.add_argument("--data", type=Path, default=SHARED, help="folder with the data sets")
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), help=f"names of recipes; {PLAIN} is none")
    parser.add_argument("--base", default="minilm")
    parser.add_argument("--pairs", type=int, default=0, help="training pairs drawn of each set; 0: all")
    parser.add_argument("--document-tokens", type=int, default=256)
    parser.add_argument("--work", type=Path, help="folder of the runs, to go on with; thrown away when left out")
    options = measure.options(parser, QUICK)
    allocator = measure.choose_allocator(plain=options.plain_allocator)
    sets = measure.earlier(options.out, {"sets": {}})["sets"]
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        for recipe in options.recipes:  # not set by set: something of everything is there when it is stopped
            for name in options.sets:
                runs = sets.setdefault(name, {})
                if recipe not in runs:
                    runs[recipe] = measured(name, recipe, options, work) | measure.facts(allocator)
                if options.out:
                    measure.write({"sets": sets}, options.out)
        for runs in sets.values():
            compare_all(runs)
    show(sets)
    measure.finish({"sets": sets}, options.out)


def measured(name: str, recipe: str, options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """One run: its figures, seconds, and the metric of every test query."""
    import nearfar

    folder = work / f"{name}-{recipe}"
    config: dict[str, Any] = {"train": {"max_document_tokens": options.document_tokens}}
    if recipe != PLAIN:
        config["recipe"] = recipe
    run = nearfar.fit(cut(data_set(name, options.data), options.pairs), base=options.base, out=folder, config=config,
                      mode="resume" if folder.exists() else "new")  # fmt: skip
    return figures(run)


def figures(run: Run) -> dict[str, Any]:
    import numpy as np

    record = run.record
    with np.load(run.path / "data" / "per_query.npz") as arrays:
        per_query = {system: arrays[f"{system}/{METRIC}"].tolist() for system in ("base", "model")}
    stages = record.get("stages") or [{"kind": "train", "seconds": record["train_seconds"]}]
    return {
        "metrics": {system: found[METRIC] for system, found in record["metrics"].items()},
        "to_base": record["comparisons"]["base"],
        "stages": [{key: stage[key] for key in ("kind", "seconds", "before", "after") if key in stage}
                   for stage in stages],
        "seconds": sum(stage["seconds"] for stage in stages),
        "per_query": per_query,
    }  # fmt: skip


def compare_all(runs: dict[str, Any]) -> None:
    """Add to each recipe's figures how it compares with the one before it in `RECIPES`, over the test queries."""
    import numpy as np

    from nearfar.evaluate.statistics import compare

    order = [recipe for recipe in RECIPES if recipe in runs]
    for before, recipe in pairwise(order):
        ours, theirs = (np.array(runs[one]["per_query"]["model"]) for one in (recipe, before))
        runs[recipe][f"to_{before}"] = asdict(compare(ours, theirs, seed=0))


def show(sets: Mapping[str, Mapping[str, Any]]) -> None:
    """Print a row for each run."""
    rows = []
    for name, runs in sets.items():
        for recipe, run in runs.items():
            before = next((run[key] for key in run if key.startswith("to_") and key != "to_base"), None)
            rows.append({"set": name, "recipe": recipe, "BM25": run["metrics"]["bm25"], "base": run["metrics"]["base"],
                         "nDCG@10": run["metrics"]["model"], "p to base": run["to_base"]["p_value"],
                         "to the row before": "" if before is None else
                         f"{before['difference']:+.4f} ({before['low']:+.4f} to {before['high']:+.4f})",
                         "training, s": run["seconds"]})  # fmt: skip
    measure.show("Recipes", rows)


if __name__ == "__main__":
    main()
