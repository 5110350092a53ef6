"""The verb `report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nearfar.cli.options import AsJson


def report(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[Path | None, typer.Option(help="File to write; left out: the run's name with .html, here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write all that a run has to show as one HTML file, to look at or send without a service and without network.

    It holds metrics with intervals, curves, the findings that `doctor model` left in the run with their fixes, what
    `plan` and `compress` measured of codes, and the map of the index.

    Example: nearfar report run --out run.html
    """
    from nearfar.cli.show import json_line
    from nearfar.pipeline.progress import Terminal
    from nearfar.pipeline.run_page import write_page

    path = out or Path(f"{run.resolve().name}.html")
    write_page(run, path, reporter=Terminal())
    typer.echo(json_line({"path": str(path)}) if as_json else f"wrote {path}")
