"""The verbs `compress` and `plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nearfar.cli import complete
from nearfar.cli import show_codes as show
from nearfar.cli.options import AsJson, Resume, fields, group_settings, mode_of, names, numbers
from nearfar.cli.show import json_line
from nearfar.core.errors import BadInput

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
    codec: Annotated[
        str | None, typer.Option(help="Left out: learned_residual.", autocompletion=complete.codecs)
    ] = None,
    data: Queries = None,
    unlabelled: Unlabelled = False,
    train: Annotated[
        str | None, typer.Option("--train", help="Train with codes of one size, a run in --out: query, both, dense.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder that --train writes.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file whose group compress is read.")] = None,
    resume: Resume = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace codes of these sizes, or --out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a run's document vectors as codes of a few bytes, and say what they keep of its quality.

    Every field of the configuration's group compress is an option, of learned codecs: --steps 400 --contrast 0.3. With
    --train, encoders learn to be asked through the codes, and fields of fit's other groups are options too:
    --train.epochs 3.

    Examples: nearfar compress run --bytes 16,32,64; nearfar compress run --bytes 16 --train both --out run16
    """
    from nearfar.pipeline.compress import CODEC
    from nearfar.pipeline.compress import compress as compress_
    from nearfar.pipeline.compress_train import compress_train
    from nearfar.pipeline.progress import Terminal

    size, learning = numbers(sizes), group_settings("compress", config, context.args, {}).compress
    changes = {
        key: value for key, value in fields(context.args).items() if "." in key and not key.startswith("compress.")
    }
    if train is None and (given := [*changes, *(["out"] if out else []), *(["resume"] if resume else [])]):
        raise BadInput.at(f"--{given[0]}", expected="--train beside it", found="none", do="add it, or leave this out")
    mode = mode_of(resume=resume, overwrite=overwrite)
    if train is not None:
        _check(run, size, train, out, mode)
    found = compress_(run, size, codec or CODEC, data=data, unlabelled=unlabelled, config=learning,
                      overwrite=overwrite and train is None, reporter=Terminal())  # fmt: skip
    if train is None:
        return typer.echo(json_line(found.record()) if as_json else show.compressed(found, run))
    trained = compress_train(found.points[0].path, train, str(out), data=data, config=changes, mode=mode,
                             reporter=Terminal())  # fmt: skip
    return typer.echo(json_line(trained.record()) if as_json else show.trained_codes(trained, run))


def _check(run: Path, sizes: list[int], train: str, out: Path | None, mode: Any) -> None:
    from nearfar.pipeline.compress_train import check

    if out is None:
        raise BadInput.at("--out", expected="a folder for the run to write", found="none", do="give --out NEW")
    if len(sizes) > 1:
        raise BadInput.at("--bytes", expected="one size to train with", found=str(len(sizes)), do="choose one")
    check(run, train, out, mode)


def plan(
    run: Run,
    data: Queries = None,
    documents: Annotated[int, typer.Option(min=1, help="Documents that the index is to hold.")] = 1_000_000,
    budget: Annotated[int, typer.Option(min=1, help="Bytes a vector, at most.")] = 32,
    codecs: Annotated[
        str | None, typer.Option(help="Names with commas; left out: all.", autocompletion=complete.codecs)
    ] = None,
    sizes: Annotated[str | None, typer.Option("--bytes", help="Bytes a vector, with commas; left out: some.")] = None,
    unlabelled: Unlabelled = False,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with the chart, one file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure what each codec keeps of a run's quality at each size, and recommend one for a budget.

    The figures are kept in the run, as plan.json, for its page and `nearfar report`.

    Example: nearfar plan run --budget 32 --html plan.html
    """
    from nearfar.pipeline.frontier import plan as plan_
    from nearfar.pipeline.frontier_page import write_page
    from nearfar.pipeline.progress import Terminal
    from nearfar.report.html import check_writable
    from nearfar.report.kept import PLAN, keep

    if html is not None:
        check_writable(html)
    found = plan_(run, data=data, documents=documents, budget=budget, codecs=names(codecs) if codecs else None,
                  sizes=numbers(sizes) if sizes else None, unlabelled=unlabelled, reporter=Terminal())  # fmt: skip
    typer.echo(json_line(found.record()) if as_json else show.plan(found))
    keep(run / PLAN, found.kept())
    if html is not None:
        write_page(found, html)
        typer.echo(f"\npage: {html}", err=as_json)
