"""The verb `export`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from nearfar.cli import show
from nearfar.cli.options import AsJson

SAME = 0.9995  # of the ten best: what is left is rounding


def export(
    run: Annotated[Path, typer.Argument(help="A run folder whose documents are compressed.")],
    to: Annotated[str, typer.Option(help="faiss, lance or pgvector.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    size_bytes: Annotated[int, typer.Option("--bytes", min=1, help="Which codes: bytes a vector.")] = 32,
    data: Annotated[str | None, typer.Option(help="Queries to check the copy with; left out: the run's own.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the export in --out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a run's codes for another store, and check that it scores them as nearfar does.

    faiss takes product, residual and binary codes; lance product codes; pgvector binary ones. pq4 is fastest in faiss.

    Example: nearfar export run --to faiss --bytes 32 --out run-faiss
    """
    from nearfar.pipeline.export import export as export_
    from nearfar.pipeline.progress import Terminal

    found = export_(run, to, size_bytes=size_bytes, out=out, data=data, overwrite=overwrite, reporter=Terminal())
    off = f"differ from ours by {found.worst:.1e} of the largest at most" if found.worst else "are ours"
    same = "" if found.overlap > SAME else f", and {found.overlap:.1%} of the ten best are ours"
    checked = f"the scores of {found.queries:,} queries {off}{same}"
    line = f"{found.documents:,} documents, {found.codec} of {found.size_bytes} bytes, in {found.path}: {checked}"
    typer.echo(show.json_line(asdict(found)) if as_json else line)
