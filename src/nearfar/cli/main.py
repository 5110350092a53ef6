"""The command line: parse, build a configuration, make one library call, print."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TextIO, cast

import typer
from typer._click.exceptions import ClickException, NoArgsIsHelpError  # typer exports only their children

from nearfar.cli import data, doctor, index, show, show_codes
from nearfar.cli.compare import compare
from nearfar.cli.complete import models
from nearfar.cli.compress import compress, plan
from nearfar.cli.compress_table import compress_table
from nearfar.cli.encode import encode
from nearfar.cli.evaluate import evaluate
from nearfar.cli.examples import keep_examples
from nearfar.cli.export import export
from nearfar.cli.hub import pull, push
from nearfar.cli.mcp import mcp
from nearfar.cli.merge import merge
from nearfar.cli.mine import mine
from nearfar.cli.options import (
    ANY_FIELD,
    DEFAULT_CONFIG,
    AsJson,
    Data,
    Overwrite,
    Resume,
    SkipBadRows,
    fields,
    mode_of,
)
from nearfar.cli.report import report
from nearfar.cli.rerank import rerank_train
from nearfar.cli.search import search
from nearfar.cli.serve import serve
from nearfar.cli.teach import teach
from nearfar.cli.terminal import Visible
from nearfar.cli.tune import tune
from nearfar.core.config import merged
from nearfar.core.errors import BadInput, Ended, NearfarError, ProcessFailed
from nearfar.core.unicode import visible

app = typer.Typer(
    name="nearfar",
    help="Embedding models for retrieval, trained by contrast.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(data.app, name="data")
app.add_typer(doctor.app, name="doctor")
app.add_typer(index.app, name="index")


def main() -> None:
    """Run the command line; every foreseen error is one line on standard error and an exit code."""
    # Read by torch when it is imported: kept activations are large, and huge pages make them cheap to touch.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    # A product of each shape stays in caches of torch and of oneDNN, half a MiB each: 1,024 of them, if left alone.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")
    os.environ.setdefault("LRU_CACHE_CAPACITY", "128")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("LANCE_LOG", "error")  # Lance's warnings of a full disk would come before the one line
    if not _is_first():
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
    sys.stdout = cast(TextIO, Visible(sys.stdout))
    try:
        code = app(standalone_mode=False)
    except NoArgsIsHelpError as error:
        code = _fail(error.format_message(), 2)
    except ClickException as error:
        code = _fail(f"nearfar: {error.format_message().rstrip('.')}; see --help", 2)
    except Ended as error:
        code = error.exit_code
    except ProcessFailed as error:
        code = _say(f"nearfar: {error}", error.exit_code)
    except NearfarError as error:
        code = _fail(f"nearfar: {error}", error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = _fail("nearfar: interrupted", 130)
    except BrokenPipeError:  # the reader of our output has had enough
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
        code = 0
    sys.exit(code or 0)


def _is_first() -> bool:
    """Whether this is the process that talks, of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def _fail(line: str, code: int) -> int:
    return _say(line, code) if _is_first() else code  # all processes meet the error, and one says it


def _say(line: str, code: int) -> int:
    print(visible(line), file=sys.stderr)  # noqa: T201
    return code


def _show(value: Mapping[str, Any]) -> None:
    typer.echo(show.json_line(value))


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Write a commented configuration file with every setting at its default.

    Example: nearfar init nearfar.yaml
    """
    from nearfar.pipeline.config import template

    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template())
    except FileExistsError:
        raise BadInput.at(path, expected="a new file", found="one that exists", do="choose another name") from None
    except OSError as error:
        raise BadInput.at(path, expected="a place to write to", found=str(error.strerror), do="check it") from None
    _show({"path": str(path)}) if as_json else typer.echo(f"wrote {path}; edit it, then run: nearfar fit")


@app.command(context_settings=ANY_FIELD)
def fit(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(help="YAML file; nearfar.yaml is read when it is there.")] = None,
    data: Data = None,
    base: Annotated[
        str | None, typer.Option(help="minilm, static, a model folder, or a hub name.", autocompletion=models)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder to write.")] = None,
    skip_bad_rows: SkipBadRows = False,
    resume: Resume = False,
    overwrite: Overwrite = False,
    require_better: Annotated[
        bool, typer.Option("--require-better", help="Exit with 1 unless the model is better than its base.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fine-tune a model on your pairs, and say whether it is better.

    Every field of the configuration is an option too: --train.epochs 3 --train.batch_size=512 --eval.dev_queries 100
    ('nearfar init' writes them all with their meaning).

    Examples: nearfar fit --data pairs.jsonl --out run; nearfar fit --out run --resume
    """
    from nearfar.pipeline.config import FitConfig, read_config
    from nearfar.pipeline.fit import fit as fit_

    path = config or (DEFAULT_CONFIG if DEFAULT_CONFIG.exists() and not resume else None)
    values = FitConfig.parse(read_config(path), str(path)).model_dump(exclude_unset=True) if path else {}
    values = merged(values, fields(context.args))
    named = {"data.source": data, "base": base, "out": out and str(out), "data.skip_bad_rows": skip_bad_rows}
    values = merged(values, {key: value for key, value in named.items() if value})
    settings = FitConfig.parse(values, "options")
    run = fit_(config=settings, mode=mode_of(resume=resume, overwrite=overwrite))
    _show(run.record) if as_json else typer.echo(show.summary(run.record, run.path))
    if require_better and not run.record["better"]:
        raise typer.Exit(1)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Run folder to write.")] = Path("run"),
    base: Annotated[str, typer.Option(help="Model to start from.", autocompletion=models)] = "minilm",
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Train on the standard library of this Python, and show that the model got better.

    Example: nearfar demo --out run
    """
    from nearfar.pipeline.demo import demo as demo_
    from nearfar.pipeline.doctor_page import PAGE

    result = demo_(out, base=base, mode=mode_of(resume=resume, overwrite=overwrite))
    if as_json:
        answers = {question: [asdict(hit) for hit in hits] for question, hits in result.answers}
        codes, doctor = result.codes.record(), result.diagnosis.record()
        return _show({**result.run.record, "codes": codes, "answers": answers, "doctor": doctor})
    typer.echo(show.summary(result.run.record, out))
    typer.echo(f"\nits index as codes\n{show_codes.compressed(result.codes, out)}")
    for question, hits in result.answers:
        typer.echo(f"\n{question}")
        for hit in hits:
            typer.echo(f"  {hit.score:.3f}  {hit.id}")
    typer.echo(f"\nthe five failures in {show.diagnosis(result.diagnosis)}\npage: {out / PAGE}")
    return typer.echo(f'\nask more with: nearfar search {out} "your question"\nor serve it: nearfar serve {out}')


app.command("eval", context_settings=ANY_FIELD)(evaluate)


@app.command(context_settings=ANY_FIELD)
def certify(
    context: typer.Context,
    data: Data = None,
    base: Annotated[
        str | None, typer.Option(help="minilm, static, a model folder, or a hub name.", autocompletion=models)
    ] = None,
    loss: Annotated[list[str] | None, typer.Option(help="One to look at; may be given again. Left out: all.")] = None,
    pairs: Annotated[int, typer.Option(help="Pairs of the batch.")] = 32,
    as_json: AsJson = False,
) -> None:
    """Check that cached, streaming and two-process steps have the gradients of a plain one, for every loss.

    Without data a batch of the standard library is made. Exit code 1 when any of them disagrees.
    Every field of the configuration is an option too: --train.temperature 0.02

    Example: nearfar certify --data pairs.jsonl --base minilm
    """
    from nearfar.pipeline.certify import certify as certify_
    from nearfar.pipeline.progress import Terminal

    config = fields(context.args)
    result = certify_(data, base=base, config=config, losses=loss or (), pairs=pairs, reporter=Terminal())
    _show(result.record()) if as_json else typer.echo(show.certificate(result))
    if not result.ok:
        raise typer.Exit(1)


app.command()(compare)
app.command(context_settings=ANY_FIELD)(compress)
app.command("compress-table")(compress_table)
app.command()(plan)
app.command()(report)
app.command()(search)
app.command()(serve)
app.command()(mcp)
app.command()(export)
app.command()(push)
app.command()(pull)
app.command(context_settings=ANY_FIELD)(mine)
app.command("rerank-train", context_settings=ANY_FIELD)(rerank_train)
app.command(context_settings=ANY_FIELD)(teach)
app.command(context_settings=ANY_FIELD)(merge)
app.command(context_settings=ANY_FIELD)(tune)
app.command()(encode)


@app.command("list")
def list_(
    kind: Annotated[
        str | None, typer.Argument(help="losses, poolings, recipes, merges, augmentations; left out: all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List what can be named in the configuration, what each is for, and where it comes from.

    Examples: nearfar list; nearfar list losses
    """
    from nearfar.pipeline.listing import techniques

    found = techniques(kind)
    listed = {name: [asdict(entry) for entry in entries] for name, entries in found.items()}
    _show(listed) if as_json else typer.echo(show.techniques(found))


@app.command()
def schema(as_json: AsJson = False) -> None:  # noqa: ARG001  # it is JSON either way
    """Print the JSON schema of the configuration, for editors.

    Example: nearfar schema > nearfar.schema.json
    """
    from nearfar.pipeline.config import FitConfig

    typer.echo(json.dumps(FitConfig.model_json_schema(), indent=1))


@app.command()
def version(as_json: AsJson = False) -> None:
    """Print the versions that decide what a run computes.

    Example: nearfar version --json
    """
    from nearfar.pipeline.run import versions

    _show(versions()) if as_json else typer.echo("\n".join(f"{k} {v}" for k, v in versions().items()))


keep_examples(app)
