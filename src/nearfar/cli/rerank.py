"""The verb `rerank-train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nearfar.cli import show
from nearfar.cli.complete import models
from nearfar.cli.options import AsJson, Data, Overwrite, Resume, group_settings, mode_of


def rerank_train(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(help="YAML file; its groups data, mine and rerank are read.")] = None,
    data: Data = None,
    base: Annotated[
        str | None, typer.Option(help="minilm, a run, a model folder or a hub name.", autocompletion=models)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write.")] = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Train a small cross-encoder on pairs, and measure it beside the bi-encoder.

    Every field of the configuration's group rerank is an option, and of others with their prefix: --epochs 2
    --mine.negatives 5 --data.columns.query title

    Example: nearfar rerank-train --data pairs.jsonl --out reranker
    """
    from nearfar.pipeline.rerank import rerank_train as rerank_train_

    named = {"rerank.base": base, "rerank.out": out and str(out), "data.source": data}
    settings = group_settings("rerank", config, context.args, named)
    done = rerank_train_(config=settings, mode=mode_of(resume=resume, overwrite=overwrite))
    typer.echo(show.json_line(done.record) if as_json else show.reranker(done.record, done.path))
