"""The verb `index`: indexes of documents."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from nearfar.cli import show
from nearfar.cli.options import AsJson

app = typer.Typer(help="Indexes of documents.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _indexes() -> None:
    """Keep `build` a verb of its own: typer drops the name of an only one."""


@app.command("build")
def build(
    source: Annotated[str, typer.Option("--from", help="The run or index whose documents are encoded again.")],
    model: Annotated[str, typer.Option(help="The model to encode with: a run, a model folder, a hub name.")],
    out: Annotated[Path, typer.Option(help="Index folder to write.")] = Path("index"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the index in --out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Encode the documents of an index again by another model.

    Example: nearfar index build --from old-run --model new-run --out new-index
    """
    from nearfar.pipeline.progress import Terminal
    from nearfar.pipeline.reembed import reembed

    built = reembed(source, model, out, overwrite=overwrite, reporter=Terminal())
    line = f"{built.documents:,} documents in {built.path}; search them: nearfar search {built.path} --model {model}"
    typer.echo(show.json_line(asdict(built)) if as_json else line)
