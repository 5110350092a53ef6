"""The verbs `compress` and `plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nearfar.cli import show_codes as show
from nearfar.cli.options import AsJson, group_settings, names, numbers
from nearfar.cli.show import json_line

Run = Annotated[Path, typer.Argument(help="A run folder.")]
Queries = Annotated[
    str | None, typer.Option("--data", help="Queries to fit to and measure with; left out: the run's own.")
]
Unlabelled = Annotated[
    bool, typer.Option("--unlabelled", help="Fit learned codecs to passages of the documents, not to queries.")
]


def compress(
    context: typer.Context,
    run: Run,
    sizes: Annotated[str, typer.Option("--bytes", help="Bytes a vector; several with commas.")] = "32",
    codec: Annotated[str | None, typer.Option(help="Left out: learned_residual.")] = None,
    data: Queries = None,
    unlabelled: Unlabelled = False,
    config: Annotated[Path | None, typer.Option(help="YAML file whose group compress is read.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace codes of these sizes.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a run's document vectors as codes of a few bytes, and say what they keep of its quality.

    Every field of the configuration's group compress is an option, of learned codecs: --steps 400 --contrast 0.3

    Example: nearfar compress run --bytes 16,32,64
    """
    from nearfar.pipeline.compress import CODEC
    from nearfar.pipeline.compress import compress as compress_
    from nearfar.pipeline.progress import Terminal

    learning = group_settings("compress", config, context.args, {}).compress
    found = compress_(run, numbers(sizes), codec or CODEC, data=data, unlabelled=unlabelled, config=learning,
                      overwrite=overwrite, reporter=Terminal())  # fmt: skip
    typer.echo(json_line(found.record()) if as_json else show.compressed(found, run))


def plan(
    run: Run,
    data: Queries = None,
    documents: Annotated[int, typer.Option(min=1, help="Documents that the index is to hold.")] = 1_000_000,
    budget: Annotated[int, typer.Option(min=1, help="Bytes a vector, at most.")] = 32,
    codecs: Annotated[str | None, typer.Option(help="Names with commas; left out: all.")] = None,
    sizes: Annotated[str | None, typer.Option("--bytes", help="Bytes a vector, with commas; left out: some.")] = None,
    unlabelled: Unlabelled = False,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with the chart, one file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure what each codec keeps of a run's quality at each size, and recommend one for a budget.

    Example: nearfar plan run --budget 32 --html plan.html
    """
    from nearfar.pipeline.frontier import plan as plan_
    from nearfar.pipeline.frontier_page import write_page
    from nearfar.pipeline.progress import Terminal
    from nearfar.report.html import check_writable

    if html is not None:
        check_writable(html)
    found = plan_(run, data=data, documents=documents, budget=budget, codecs=names(codecs) if codecs else None,
                  sizes=numbers(sizes) if sizes else None, unlabelled=unlabelled, reporter=Terminal())  # fmt: skip
    typer.echo(json_line(found.record()) if as_json else show.plan(found))
    if html is not None:
        write_page(found, html)
        typer.echo(f"\npage: {html}", err=as_json)
