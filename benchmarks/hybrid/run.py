"""Vectors, words and both: nDCG@10 of the three searches over the shared sets, as `nearfar eval` measures them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package

import measure
from data_sets import SHARED, cut, data_set
from measure import say

if TYPE_CHECKING:  # imports torch, which reads the allocator's setting when it starts
    from nearfar.pipeline.evaluate import Evaluation

METRIC = "ndcg@10"
METRICS = (METRIC, "recall@2", "recall@100")
FINE_TUNED = ("nl2bash", "medquad")  # asked with the base as it is, as the others are, and fine-tuned
QUICK = {"sets": ["cranfield"], "base": "minilm"}


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--sets", nargs="+", default=["nl2bash", "medquad", "cranfield", "banking77", "limit-small"])
    parser.add_argument("--data", type=Path, default=SHARED, help="folder with the data sets")
    parser.add_argument("--base", default="minilm")
    parser.add_argument("--pairs", type=int, default=5000, help="that a model is fine-tuned on, where it is")
    parser.add_argument("--models", type=Path, help="folder of runs SET-BASE that are there already")
    parser.add_argument(
        "--work", type=Path, default=Path(__file__).parent / "scratch", help="of models and indexes, kept"
    )
    options = measure.options(parser, QUICK)
    allocator = measure.choose_allocator(plain=options.plain_allocator)
    rows: list[dict[str, Any]] = measure.earlier(options.out, {"rows": []})["rows"]
    for name, tuned in [*((name, False) for name in options.sets), *((name, True) for name in FINE_TUNED)]:
        model = options.base + (", fine-tuned" if tuned else "")
        if name in options.sets and (name, model) not in {(row["set"], row["model"]) for row in rows}:
            rows.append(measured(name, options, fine_tuned=tuned))
            found = rows[-1]["metrics"]
            measure.show(f"{name}, {model}", [{"search": search, **found[search]} for search in found])
            if options.out:
                measure.write({"rows": rows}, options.out)
    result = {f"{row['set']}, {row['model']}": row["metrics"] for row in rows}
    measure.finish({**measure.facts(allocator), "result": result, "rows": rows}, options.out)


def measured(name: str, options: argparse.Namespace, *, fine_tuned: bool) -> dict[str, Any]:
    """The searches over one set, and the hybrid ones against the better of their parts."""
    from nearfar.index.settings import Settings
    from nearfar.pipeline.indexing import build
    from nearfar.pipeline.search_eval import evaluate_index, tune_index
    from nearfar.search.config import SearchConfig
    from nearfar.search.index import Index

    dataset, model = data_set(name, options.data), trained(name, options) if fine_tuned else str(options.base)
    place = options.work / f"{name}-{'fine-tuned' if fine_tuned else 'base'}-index"
    if not (place / "manifest.json").exists():
        build(str(options.data / name), model, place)
    Settings().save(place)  # what an earlier run learnt
    index = Index.open(place, model)
    ranks = Index.open(place, model, config=SearchConfig(fusion="reciprocal_ranks"))
    found = {mode: evaluate_index(index, dataset, "test", METRICS, mode) for mode in ("dense", "lexical", "hybrid")}
    found["hybrid, by ranks"] = evaluate_index(ranks, dataset, "test", METRICS, "hybrid")
    tuned = None
    if "dev" in dataset.splits:
        tuned = tune_index(index, dataset)
        found["hybrid, tuned"] = evaluate_index(Index.open(place, model), dataset, "test", METRICS, "hybrid")
    return {"set": name, "documents": len(dataset.documents), "queries": len(found["dense"].queries),
            "model": options.base + (", fine-tuned" if fine_tuned else ""),
            "tuned": tuned and asdict(tuned), "metrics": {mode: dict(one.metrics) for mode, one in found.items()},
            "against_the_better": compared(found)}  # fmt: skip


def compared(found: Mapping[str, Evaluation]) -> dict[str, Any]:
    """Each hybrid search against the better of vectors and words, and against both."""
    from nearfar.evaluate.statistics import compare

    parts = sorted(("dense", "lexical"), key=lambda mode: -found[mode].metrics[METRIC])
    return {mode: asdict(compare(found[mode].per_query[METRIC], found[parts[0]].per_query[METRIC], seed=0))
            for mode in found if mode.startswith("hybrid")}  # fmt: skip


def trained(name: str, options: argparse.Namespace) -> Path:
    """What one epoch on the set's own pairs makes of the base."""
    from nearfar.pipeline.config import FitConfig
    from nearfar.pipeline.fit import fit

    path: Path = (options.models or options.work) / f"{name}-{options.base}"
    if not (path / "run.json").exists():
        train = {"epochs": 1, "max_document_tokens": 128}
        config = FitConfig.parse({"base": options.base, "out": str(path), "train": train}, "benchmark")
        say(fit(cut(data_set(name, options.data), options.pairs), config=config, mode="overwrite").verdict)
    return path


if __name__ == "__main__":
    main()
