"""The verb `tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nearfar.cli import show
from nearfar.cli.complete import models
from nearfar.cli.options import DEFAULT_CONFIG, AsJson, Data, SkipBadRows, fields
from nearfar.core.config import merged


def tune(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(help="YAML file; nearfar.yaml is read when it is there.")] = None,
    data: Data = None,
    base: Annotated[
        str | None, typer.Option(help="minilm, static, a model folder, or a hub name.", autocompletion=models)
    ] = None,
    budget: Annotated[str, typer.Option(help="Time for all probes, such as 90s, 20m or 2h.")] = "20m",
    out: Annotated[Path, typer.Option(help="YAML file to write; yours with the values chosen.")] = Path("tuned.yaml"),
    skip_bad_rows: SkipBadRows = False,
    as_json: AsJson = False,
) -> None:
    """Choose learning rate, temperature, batch size, hard negatives and loss by short trainings.

    Each value is written with what it was compared with. Finished probes are kept beside --out: the same call with a
    larger budget goes on. Every field of the configuration is an option too, and is where the search starts.

    Examples: nearfar tune --data pairs.jsonl --budget 20m; nearfar fit --config tuned.yaml
    """
    from nearfar.pipeline.config import FitConfig, read_config
    from nearfar.pipeline.tune import tune as tune_

    path = config or (DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None)
    values = FitConfig.parse(read_config(path), str(path)).model_dump(exclude_unset=True) if path else {}
    named = {"data.source": data, "base": base, "data.skip_bad_rows": skip_bad_rows}
    values = merged(merged(values, fields(context.args)), {key: value for key, value in named.items() if value})
    text = path.read_text(encoding="utf-8") if path else ""
    tuned = tune_(config=FitConfig.parse(values, "options"), budget=budget, out=out, text=text)
    typer.echo(show.json_line(tuned.record()) if as_json else show.tuned(tuned.record()))
