"""The verb `compress-table`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.cli.compress import Queries, Run
from nearfar.cli.options import AsJson
from nearfar.cli.show import json_line

if TYPE_CHECKING:
    from nearfar.pipeline.compress_table import CompressedModel


def compress_table(
    run: Run,
    out: Annotated[Path, typer.Option(help="Model folder to write.")] = Path("small"),
    megabytes: Annotated[float, typer.Option(help="Most that the weights may take on disk.")] = 4.0,
    method: Annotated[str, typer.Option(help="mixed or even.")] = "mixed",
    data: Queries = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the model in --out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the model of a run, a token table, in few megabytes, and say what is kept of its quality.

    mixed gives more bits to tokens that weigh more in the run's documents and training queries, and none to those
    that weigh least; even keeps every row, for a table that will read other texts.

    Example: nearfar compress-table run --out small --megabytes 4
    """
    from nearfar.pipeline.compress_table import compress_table as compress_table_
    from nearfar.pipeline.progress import Terminal

    found = compress_table_(run, out, megabytes, method, data=data, overwrite=overwrite, reporter=Terminal())
    typer.echo(json_line(found.record()) if as_json else shown(found, run))


def shown(found: CompressedModel, run: Path) -> str:
    """Sizes and the main metric, before and after, and how to search."""
    from nearfar.pipeline.compress_table import MEGABYTE
    from nearfar.pipeline.config import MAIN_METRIC

    before, after = (size.weights / MEGABYTE for size in (found.before, found.after))
    kept, name = found.kept, MAIN_METRIC
    sizes = f"weights {before:.2f} MB → {after:.2f} MB (and a tokenizer of {found.after.tokenizer / MEGABYTE:.2f} MB)"
    quality = f"{name} {found.metrics_before[name]:.3f} → {found.metrics[name]:.3f}"
    share = f"{100 * kept.value:.1f} % kept, 95 % interval {100 * kept.low:.1f} to {100 * kept.high:.1f}"
    rows = f"{found.dropped:,} of {found.rows:,} rows dropped" if found.dropped else f"all {found.rows:,} rows kept"
    figures = f"{sizes}, {quality} ({share}, {found.queries:,} test queries); {rows}"
    return f"{figures}\nindex with it: nearfar index build --from {run} --model {found.path} --out index"
