"""The verb `eval`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nearfar.cli import show
from nearfar.cli.complete import models
from nearfar.cli.options import AsJson, Layers, StorageOption, fields, refuse, storage_of
from nearfar.core.artifact import is_artifact
from nearfar.core.config import merged
from nearfar.search.config import Mode

if TYPE_CHECKING:
    from nearfar.data.config import DataConfig

What = Literal["retrieval", "sts", "classification", "clustering", "mteb"]


def evaluate(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            help="A run, a model folder, a base's name, bm25, or an index (retrieval).", autocompletion=models
        ),
    ],
    data: Annotated[str, typer.Option(help="Data set to measure on; of mteb a task's name, or a folder.")],
    task: Annotated[What, typer.Option(help="What is measured.")] = "retrieval",
    split: Annotated[str | None, typer.Option(help="train, dev or test; left out: test, or what mteb says.")] = None,
    metric: Annotated[list[str] | None, typer.Option(help="Of retrieval, such as ndcg@10; may be repeated.")] = None,
    base: Annotated[str | None, typer.Option(help="A model to hold against it; for retrieval: compare.")] = None,
    mode: Annotated[
        Mode | None, typer.Option(help="Measure the search of an index or run: by vectors, words, or both.")
    ] = None,
    k: Annotated[int | None, typer.Option("--k", min=1, help="Measure nDCG, recall and MRR at this depth.")] = None,
    rerank: Annotated[
        str | None, typer.Option(help="Measure it with what orders its first documents, as nearfar search takes it.")
    ] = None,
    budget_ms: Annotated[
        float | None, typer.Option("--budget-ms", help="Milliseconds of a query in which --rerank reads what it can.")
    ] = None,
    encoder: Annotated[str | None, typer.Option("--model", help="Of an index that lies in no run.")] = None,
    sparse: Annotated[str | None, typer.Option(help="Of an index whose sparse encoder was moved.")] = None,
    layers: Layers = None,
    by_slice: Annotated[bool, typer.Option("--slices", help="Also by length, rarity and label of the query.")] = False,
    storage: StorageOption = None,
    as_json: AsJson = False,
) -> None:
    """Measure how well a model, or bm25, retrieves on a data set; or what else its vectors are good for.

    Tasks: retrieval; sts (pairs with scores: rank correlation); classification (labelled texts: a linear probe);
    clustering (labelled texts: k-means); mteb (a task of that benchmark).

    Every field of the configuration's data is an option too: --columns.query title --columns.positive body

    Examples: nearfar eval run --data pairs.jsonl
    nearfar eval run --data stsb --task sts
    nearfar eval index --data judged --mode hybrid --k 10
    """
    from nearfar.data.config import DataConfig

    config = DataConfig.parse(merged({}, fields(context.args)), "options")
    if task != "retrieval":
        probed = {"--metric": metric, "--slices": by_slice, "--mode": mode, "--k": k, "--model": encoder,
                  "--sparse": sparse, "--rerank": rerank, "--budget-ms": budget_ms}  # fmt: skip
        refuse(probed, f"--task {task}", "leave it out")
        if task == "mteb":
            refuse({"--base": base}, "--task mteb", "measure both, one after the other")
            return _mteb(model, data, split, config, layers, as_json=as_json)
        return _probe(task, model, data, split or "test", base, config, layers, as_json=as_json)
    refuse({"--base": base}, "--task retrieval", "compare them: nearfar compare A B --data D")
    refuse({"--metric": metric if k else None}, "--k", "give one of them")
    metric = [f"{name}@{k}" for name in ("ndcg", "recall", "mrr")] if k else metric
    refuse({"--budget-ms": not rerank and budget_ms is not None}, "a search without --rerank", "name a reranker")
    if mode is not None or rerank or is_artifact(Path(model), "index"):
        refuse({"--layers": layers, "--slices": by_slice}, "an index", "measure its model")
        asked = _Asked(mode, rerank, budget_ms)
        opening = {"model": encoder, "sparse": sparse, "storage": storage_of(storage)}
        return _search(model, data, split or "test", metric, config, asked, opening, as_json=as_json)
    refuse({"--model": encoder, "--sparse": sparse, "--storage-option": storage}, "a model", "name the index first")
    return _retrieval(model, data, split or "test", metric, config, layers, by_slice=by_slice, as_json=as_json)


@dataclass(frozen=True)
class _Asked:
    """How an index is asked."""

    mode: Mode | None
    rerank: str | None
    budget_ms: float | None


def _search(
    index: str,
    data: str,
    split: str,
    metric: list[str] | None,
    config: DataConfig,
    asked: _Asked,
    opening: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    from nearfar.data.read import as_dataset
    from nearfar.pipeline.config import METRICS, EvalConfig
    from nearfar.pipeline.evaluate import with_split
    from nearfar.pipeline.search_eval import evaluate_index
    from nearfar.search.config import SearchConfig
    from nearfar.search.index import Index
    from nearfar.search.stages import mode_for

    metrics = EvalConfig.parse({"metrics": tuple(metric or METRICS)}, "options").metrics
    dataset = with_split(as_dataset(data, config), split, config)
    opened = Index.open(index, config=SearchConfig.parse({"budget_ms": asked.budget_ms}, "options"), **opening)
    result = evaluate_index(opened, dataset, split, metrics, asked.mode, rerank=asked.rerank)
    if as_json:
        shown = {"metrics": dict(result.metrics), "queries": len(result.queries),
                 "mode": mode_for(asked.mode, asked.rerank)}  # fmt: skip
        shown |= {} if asked.rerank is None else {"rerank": asked.rerank}
        return typer.echo(show.json_line(shown))
    return typer.echo("\n".join(f"{name:<12}{value:.4f}" for name, value in result.metrics.items()))


def _retrieval(
    model: str,
    data: str,
    split: str,
    metric: list[str] | None,
    config: DataConfig,
    layers: int | None,
    *,
    by_slice: bool,
    as_json: bool,
) -> None:
    from nearfar.data.read import as_dataset
    from nearfar.pipeline.config import METRICS
    from nearfar.pipeline.evaluate import evaluate as evaluate_
    from nearfar.pipeline.evaluate import with_split
    from nearfar.pipeline.progress import Terminal
    from nearfar.pipeline.slices import slices

    dataset = with_split(as_dataset(data, config), split, config)
    result = evaluate_(model, dataset, split=split, metrics=metric or METRICS, config=config, layers=layers,
                       reporter=Terminal())  # fmt: skip
    found = slices(dataset, result, (metric or METRICS)[0]) if by_slice else ()
    if as_json:
        cut = {"slices": [asdict(one) for one in found]} if by_slice else {}
        return typer.echo(show.json_line({"metrics": dict(result.metrics), "queries": len(result.queries), **cut}))
    lines = [f"{name:<12}{value:.4f}" for name, value in result.metrics.items()]
    return typer.echo("\n".join([*lines, *(show.slices(found) if by_slice else ())]))


def _probe(
    task: Literal["sts", "classification", "clustering"],
    model: str,
    data: str,
    split: str,
    base: str | None,
    config: DataConfig,
    layers: int | None,
    *,
    as_json: bool,
) -> None:
    from nearfar.pipeline import probes
    from nearfar.pipeline.progress import Terminal

    measures: dict[str, Callable[..., probes.Result]] = {
        "sts": probes.evaluate_sts,
        "classification": probes.evaluate_classification,
        "clustering": probes.evaluate_clustering,
    }
    found = measures[task](model, data, split=split, base=base, config=config, layers=layers, reporter=Terminal())
    record = found.record()
    typer.echo(show.json_line(record) if as_json else show.probed(record))


def _mteb(model: str, data: str, split: str | None, config: DataConfig, layers: int | None, *, as_json: bool) -> None:
    from nearfar.pipeline.mteb_tasks import evaluate_mteb
    from nearfar.pipeline.progress import Terminal

    found = evaluate_mteb(model, data, split=split, config=config, layers=layers, reporter=Terminal())
    typer.echo(show.json_line(found.record()) if as_json else show.mteb(found))
