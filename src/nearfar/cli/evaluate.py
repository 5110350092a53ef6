"""The verb `eval`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from nearfar.cli import show
from nearfar.cli.options import AsJson, Layers, fields
from nearfar.core.config import merged


def evaluate(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="A run, a model folder, a base's name, or bm25.")],
    data: Annotated[str, typer.Option(help="Data set to measure on.")],
    split: Annotated[str, typer.Option(help="train, dev or test.")] = "test",
    metric: Annotated[list[str] | None, typer.Option(help="Such as ndcg@10; may be repeated.")] = None,
    layers: Layers = None,
    by_slice: Annotated[bool, typer.Option("--slices", help="Also by length, rarity and label of the query.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure how well a model, or bm25, retrieves on a data set.

    Every field of the configuration's data is an option too: --columns.query title --columns.positive body
    """
    from nearfar.data.config import DataConfig
    from nearfar.data.read import as_dataset
    from nearfar.pipeline.config import METRICS
    from nearfar.pipeline.evaluate import evaluate as evaluate_
    from nearfar.pipeline.evaluate import with_split
    from nearfar.pipeline.progress import Terminal
    from nearfar.pipeline.slices import slices

    config = DataConfig.parse(merged({}, fields(context.args)), "options")
    dataset = with_split(as_dataset(data, config), split, config)
    result = evaluate_(model, dataset, split=split, metrics=metric or METRICS, config=config, layers=layers,
                       reporter=Terminal())  # fmt: skip
    found = slices(dataset, result, (metric or METRICS)[0]) if by_slice else ()
    if as_json:
        cut = {"slices": [asdict(one) for one in found]} if by_slice else {}
        return typer.echo(show.json_line({"metrics": dict(result.metrics), "queries": len(result.queries), **cut}))
    lines = [f"{name:<12}{value:.4f}" for name, value in result.metrics.items()]
    return typer.echo("\n".join([*lines, *(show.slices(found) if by_slice else ())]))
