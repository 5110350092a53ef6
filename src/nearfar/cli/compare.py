"""The verb `compare`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from nearfar.cli import show
from nearfar.cli.complete import models
from nearfar.cli.options import AsJson


def compare(
    models: Annotated[
        list[str], typer.Argument(help="Two or more: runs, model folders, names of bases, bm25.", autocompletion=models)
    ],
    data: Annotated[str, typer.Option(help="Data set to measure on.")],
    split: Annotated[str, typer.Option(help="train, dev or test.")] = "test",
    metric: Annotated[str, typer.Option(help="Such as ndcg@10.")] = "ndcg@10",
    as_json: AsJson = False,
) -> None:
    """Say which of several systems is better on the same queries, with intervals, and what could have been seen.

    Example: nearfar compare run minilm bm25 --data pairs.jsonl
    """
    from nearfar.pipeline.compare import compare_systems
    from nearfar.pipeline.progress import Terminal

    found = compare_systems(models, data, split=split, metric=metric, reporter=Terminal())
    typer.echo(show.json_line(asdict(found)) if as_json else show.compared(found))
