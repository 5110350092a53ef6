"""The verbs `push` and `pull`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.cli import show
from nearfar.cli.options import AsJson, refuse

if TYPE_CHECKING:
    from nearfar.pipeline.pull import Pulled
    from nearfar.pipeline.push import Pushed

Name = Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Repository on the Hugging Face hub.")]


def push(
    run: Annotated[Path, typer.Argument(help="A run, or a model folder.")],
    name: Name,
    private: Annotated[bool, typer.Option("--private", help="Make a repository that only its owner sees.")] = False,
    with_index: Annotated[
        bool, typer.Option("--with-index", help="Send the index too, with the texts of all documents.")
    ] = False,
    with_examples: Annotated[
        bool, typer.Option("--with-examples", help="Let examples of the data go along, in card and model.")
    ] = False,
    language: Annotated[list[str] | None, typer.Option(help="Of the texts, such as en; may be repeated.")] = None,
    licence: Annotated[str | None, typer.Option(help="Of the model by the hub's names, such as apache-2.0.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing, and write it all to --out.")] = False,
    out: Annotated[Path | None, typer.Option(help="New folder for --dry-run; left out: NAME.")] = None,
    as_json: AsJson = False,
) -> None:
    """Send a model with a card to the Hugging Face hub; of the data only counts, unless you say more.

    The card has the metrics with intervals, the doctor's findings, the data's counts, the settings, and the code to
    open the model. The token is that of 'hf auth login', or HF_TOKEN.

    Examples: nearfar push run acme/search-model --private
    nearfar push run acme/search-model --dry-run --out to-look-at
    """
    from nearfar.pipeline.progress import Terminal
    from nearfar.pipeline.push import push as push_

    refuse({"--out": not dry_run and out}, "push", "add --dry-run")
    to = (out or Path(name.rpartition("/")[2])) if dry_run else None
    done = push_(run, name, private=private, with_index=with_index, with_examples=with_examples,
                 languages=language or (), licence=licence, out=to, reporter=Terminal())  # fmt: skip
    typer.echo(show.json_line(asdict(done)) if as_json else _sent(done, run))


def pull(
    name: Name,
    out: Annotated[Path | None, typer.Option(help="New folder to write; left out: NAME.")] = None,
    revision: Annotated[str | None, typer.Option(help="A branch, a tag or a commit.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch a model of the Hugging Face hub, and its index if it has one, whole and without anything that runs code.

    Examples: nearfar pull acme/search-model --out model
    nearfar pull acme/search-model --revision v1
    """
    from nearfar.pipeline.progress import Terminal
    from nearfar.pipeline.pull import pull as pull_

    done = pull_(name, out or Path(name.rpartition("/")[2]), revision=revision, reporter=Terminal())
    typer.echo(show.json_line(asdict(done)) if as_json else _fetched(done))


def _sent(done: Pushed, run: Path) -> str:
    from nearfar.report.filters import amount

    size = f"{len(done.files)} files, {amount(sum(done.files.values()))}"
    line = f"{done.url} at {done.commit[:12]}: {size}" if done.url else f"nothing was sent; {size} in {done.path}"
    advice = "" if done.findings else f"\nthe card has no findings; for these: nearfar doctor model {run}"
    runs = [f"  {fit.name}: {'yes' if fit.fits else 'no'}{fit.why and f', {fit.why}'}" for fit in done.runtimes]
    return "\n".join([line, "where it runs:", *runs]) + advice


def _fetched(done: Pulled) -> str:
    from nearfar.report.filters import amount

    size = f"{len(done.files)} files, {amount(done.size_bytes)}"
    left = f"; {len(done.left_out)} left there" if done.left_out else ""
    ask = f'nearfar search {done.path} "your question"' if done.index else f"nearfar serve {done.path}"
    return f"{done.repository} at {done.commit[:12]} in {done.path}: {size}{left}, model {done.fingerprint}\nnow: {ask}"
