"""The verb `data`: data before training."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from nearfar.cli import show
from nearfar.cli.options import ANY_FIELD, AsJson, SkipBadRows, fields
from nearfar.core.config import merged

app = typer.Typer(help="Look at data before training on it.", no_args_is_help=True, rich_markup_mode=None)


@app.command(context_settings=ANY_FIELD)
def check(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="Data to look at.")],
    skip_bad_rows: SkipBadRows = False,
    as_json: AsJson = False,
) -> None:
    """Count, measure and find what would make training on this data go wrong.

    Every field of the configuration's data is an option too: --columns.query title --columns.positive body

    Example: nearfar data check pairs.jsonl
    """
    from nearfar.data.check import check as check_
    from nearfar.data.config import DataConfig
    from nearfar.data.read import load

    values = merged({"source": source, "skip_bad_rows": skip_bad_rows}, fields(context.args))
    dataset = load(DataConfig.parse(values, "options"))
    report = check_(dataset)
    if as_json:
        found = {**asdict(report), "problems": list(report.problems()), "notices": list(dataset.notices)}
        return typer.echo(show.json_line(found))
    return typer.echo(show.data_report(report, dataset.notices))
