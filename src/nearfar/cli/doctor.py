"""The verb `doctor`: before training, after it, and when a model meets an index."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearfar.cli import show
from nearfar.cli.options import ANY_FIELD, AsJson, check_options, fields, numbers
from nearfar.core.config import merged

if TYPE_CHECKING:
    from nearfar.data.config import DataConfig
    from nearfar.pipeline.doctor import Diagnosis

app = typer.Typer(help="Look for the five failures of contrastive training.", no_args_is_help=True,
                  rich_markup_mode=None)  # fmt: skip

Strict = Annotated[bool, typer.Option("--strict", help="Exit with 1 when a failure is found.")]
Html = Annotated[Path | None, typer.Option("--html", help="Write a page to look at, one file that needs no network.")]
Base = Annotated[str | None, typer.Option(help="What training starts from: minilm, a model folder, a hub name.")]

Elsewhere = Annotated[
    list[str] | None,
    typer.Option(help="A retrieval set that it was not trained on, to see what it loses there; several are allowed."),
]
Paraphrases = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="An OpenAI-compatible server, to say up to 100 test queries in other words; the key is OPENAI_API_KEY's.",
    ),
]
Probed = Annotated[bool, typer.Option("--probe", help="Train shortly with small and large batches, to compare.")]


@app.command("data", context_settings=ANY_FIELD)
def of_data(
    context: typer.Context,
    data: Annotated[str, typer.Argument(help="File, BEIR folder or hub name with the pairs.")],
    base: Base = None,
    probe: Probed = False,
    html: Html = None,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Say what in the data would make training fail, before any training.

    Every field of the configuration's data is an option too: --columns.query title --columns.positive body

    Example: nearfar doctor data pairs.jsonl --base minilm
    """
    from nearfar.pipeline.doctor import diagnose
    from nearfar.pipeline.progress import Terminal

    _check(html)
    found = diagnose(data=data, base=base, config=_config(context), probe=probe, reporter=Terminal())
    _tell(found, html, strict=strict, as_json=as_json)


@app.command("model", context_settings=ANY_FIELD)
def of_model(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="A run, a model folder, a base's name, or a hub name.")],
    against: Annotated[
        str | None, typer.Option(help="What training started from; left out: what the run says.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="Data set to look with; left out: the run's own.")] = None,
    live: Annotated[
        Path | None, typer.Option(help='Log of live queries, a line each: {"query": …, "clicked": ids of documents}.')
    ] = None,
    elsewhere: Elsewhere = None,
    paraphrases: Paraphrases = None,
    paraphrase_model: Annotated[str | None, typer.Option(help="The model's name there, if it has several.")] = None,
    probe: Probed = False,
    html: Html = None,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Say which of the five failures a trained model has, with evidence and the fix.

    Of a run, the page is written to its folder, as doctor.html, unless --html says otherwise; the findings always are,
    as doctor.json.

    Every field of the configuration's data is an option too: --columns.query title --columns.positive body

    Example: nearfar doctor model run
    """
    from nearfar.pipeline.doctor import diagnose
    from nearfar.pipeline.progress import Terminal

    _check(html)
    found = diagnose(
        model,
        data=data,
        base=against,
        config=_config(context),
        live=live,
        elsewhere=elsewhere or (),
        paraphrases=paraphrases,
        paraphrase_model=paraphrase_model,
        probe=probe,
        reporter=Terminal(),
    )
    _tell(found, html, strict=strict, as_json=as_json, run=_run_of(model), own_data=data is None)


@app.command("index", context_settings=ANY_FIELD)
def of_index(
    context: typer.Context,
    index: Annotated[str, typer.Argument(help="A run, or an index folder.")],
    model: Annotated[str, typer.Option(help="The model that is to ask it: a run, a model folder, a hub name.")],
    data: Annotated[str | None, typer.Option(help="Judged queries; left out: those of the index's run.")] = None,
    html: Html = None,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Say whether an index still fits a model: what its answers lose, and what re-embedding costs.

    Without judged queries, the first words of documents are asked for them.

    Example: nearfar doctor index run --model other
    """
    from nearfar.pipeline.doctor import diagnose
    from nearfar.pipeline.progress import Terminal

    _check(html)
    found = diagnose(model, data=data, index=index, config=_config(context), reporter=Terminal())
    _tell(found, html, strict=strict, as_json=as_json)


@app.command("codes", context_settings=ANY_FIELD)
def of_codes(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(help="A run folder whose documents are compressed.")],
    sizes: Annotated[
        str | None, typer.Option("--bytes", help="Which codes: bytes a vector, with commas; left out: all.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="Other documents that the codes are to stand for.")] = None,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Say whether a run's codes still stand for its documents, and whether they would for others.

    Every field of the configuration's data is an option too: --columns.query title --columns.positive body

    Example: nearfar doctor codes run --bytes 16 --data new.jsonl
    """
    from nearfar.pipeline.doctor_codes import diagnose_codes
    from nearfar.pipeline.progress import Terminal

    wanted = numbers(sizes) if sizes else []
    found = diagnose_codes(run, wanted, data=data, config=_config(context), reporter=Terminal())
    _tell(found, None, strict=strict, as_json=as_json)


def _check(html: Path | None) -> None:
    """Refuse a page that cannot be written before the work that it is to show."""
    from nearfar.report.html import check_writable

    if html is not None:
        check_writable(html)


def _config(context: typer.Context) -> DataConfig | None:
    from nearfar.data.config import DataConfig

    check_options(context, DataConfig.model_fields)
    values: Mapping[str, Any] = merged({}, fields(context.args))
    return DataConfig.parse(values, "options") if values else None


def _run_of(model: str) -> Path | None:
    """The folder of a run, which keeps its findings."""
    from nearfar.pipeline.run import RECORD

    return Path(model) if (Path(model) / RECORD).exists() else None


def _tell(
    found: Diagnosis, html: Path | None, *, strict: bool, as_json: bool, run: Path | None = None, own_data: bool = False
) -> None:
    from nearfar.pipeline.doctor_page import PAGE, keep, write_page

    typer.echo(show.json_line(found.record()) if as_json else show.diagnosis(found))
    if run is not None:
        keep(found, run, own_data=own_data)
        html = html or run / PAGE
    if html is not None:
        write_page(found, html)
        typer.echo(f"\npage: {html}", err=as_json)
    if strict and found.failed:
        raise typer.Exit(1)
