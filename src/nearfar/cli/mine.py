"""The verb `mine`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from nearfar.cli import show
from nearfar.cli.complete import models
from nearfar.cli.options import AsJson, Data, group_settings
from nearfar.core.errors import BadInput


def mine(
    context: typer.Context,
    model: Annotated[
        str | None, typer.Argument(help="bm25, a run, a model folder or a base's name.", autocompletion=models)
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file whose groups data and mine are read.")] = None,
    data: Data = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; 'fit --data' reads it.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the negatives in --out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Mine hard negatives for the training queries, and list suspected false ones.

    Every field of the configuration's group mine is an option, and of data with that prefix: --relative_margin 0.05
    --negatives 5 --data.columns.query title

    Example: nearfar mine minilm --data pairs.jsonl --out mined --relative_margin 0.05
    """
    from nearfar.pipeline.mine import mine as mine_
    from nearfar.pipeline.progress import Terminal

    model, extra = (None, [model, *context.args]) if model and model.startswith("--") else (model, context.args)
    named = {"mine.model": model, "mine.out": out and str(out), "data.source": data}
    settings = group_settings("mine", config, extra, named)
    if settings.data.source is None:
        raise BadInput.at("data", expected="pairs to mine for", found="none", do="give --data FILE_OR_FOLDER")
    mined = mine_(settings.mine.model, settings.data.source, out=settings.mine.out, config=settings.mine,
                  data_config=settings.data, overwrite=overwrite, reporter=Terminal())  # fmt: skip
    if as_json:
        found = {**mined.record, "path": str(mined.path), "suspects": [asdict(s) for s in mined.suspects]}
        return typer.echo(show.json_line(found))
    return typer.echo(show.negatives(mined.record, mined.suspects, settings.mine.out))
