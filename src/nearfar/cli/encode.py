"""The verb `encode`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from nearfar.cli import show
from nearfar.cli.complete import models
from nearfar.cli.options import AsJson, Layers, Task


def encode(
    model: Annotated[str, typer.Argument(help="A run, a model folder or a base's name.", autocompletion=models)],
    texts: Annotated[Path, typer.Argument(help="One text a line, or a corpus.jsonl with _id and text.")],
    out: Annotated[Path, typer.Option(help="NumPy file to write, float32, one row a text.")],
    role: Annotated[str, typer.Option(help="query or document: decides the model's prompt.")] = "document",
    layers: Layers = None,
    task: Task = "",
    as_json: AsJson = False,
) -> None:
    """Turn texts into vectors.

    Example: nearfar encode run questions.txt --role query --out queries.npy
    """
    from nearfar.pipeline.encode import encode_file
    from nearfar.pipeline.progress import Terminal

    done = encode_file(model, texts, out, role=role, task=task, layers=layers, reporter=Terminal())
    typer.echo(show.json_line(asdict(done)) if as_json else f"wrote {done.rows} vectors of {done.dimension} to {out}")
