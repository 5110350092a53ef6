"""Options that several verbs share, and those that stand for fields of the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from nearfar.core.config import merged, nearest
from nearfar.core.errors import BadInput, excerpt

if TYPE_CHECKING:
    from nearfar.pipeline.config import FitConfig

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Data = Annotated[str | None, typer.Option(help="File, BEIR folder or hub name with the pairs.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the interrupted run in --out.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run in --out.")]
Layers = Annotated[int | None, typer.Option(help="Use the model's first layers alone, so many.")]
SkipBadRows = Annotated[bool, typer.Option("--skip-bad-rows", help="Leave bad rows out, and count and list them.")]
Task = Annotated[str, typer.Option(help="What kind of queries they are, where the model has a prompt for that.")]
StorageOption = Annotated[
    list[str] | None,
    typer.Option(
        "--storage-option", metavar="KEY=VALUE", help="What opens object storage, such as aws_region=eu-west-1."
    ),
]
DEFAULT_CONFIG = Path("nearfar.yaml")
ANY_FIELD = {"allow_extra_args": True, "ignore_unknown_options": True}


def fields(arguments: list[str]) -> dict[str, Any]:
    """Turn `--train.epochs 3 --train.symmetric=true` into dotted keys and values.

    Raises:
        BadInput: an argument is no option, or an option has no value.
    """
    result: dict[str, Any] = {}
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("--"):
            raise BadInput.at("options", expected="--field value", found=f"'{argument}'", do="see 'nearfar fit --help'")
        key, given, value = argument[2:].partition("=")
        if not given and ((value := next(rest, "")) == "" or value.startswith("--")):
            raise BadInput.at(f"--{key}", expected="a value", found=value or "none", do="write one after it")
        result[key.replace("-", "_")] = _value(value)
    return result


def check_options(context: typer.Context, known: Iterable[str]) -> None:
    """Refuse an option that is neither the verb's own nor of the fields `known`, with the nearest of both.

    Raises:
        BadInput: there is one.
    """
    given = [argument.partition("=")[0] for argument in context.args if argument.startswith("--")]
    own = [option for parameter in context.command.params for option in parameter.opts if option.startswith("--")]
    for option in given:
        if option[2:].replace("-", "_").partition(".")[0] not in known:
            raise BadInput.at(option, expected="an option of this verb or a field of the data", found="neither",
                              do=nearest(option, ["--help", *own, *(f"--{field}" for field in known)]))  # fmt: skip


def refuse(options: Mapping[str, object], where: str, do: str) -> None:
    """Refuse options that have no meaning here.

    Args:
        options: by their names; those are given that are neither empty nor zero.

    Raises:
        BadInput: one is given.
    """
    if given := next((name for name, value in options.items() if value), None):
        raise BadInput.at(where, expected=f"no {given}", found="one", do=do)


def _value(text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    # Prompts end in a space, which YAML would drop, and often in a colon, which it would take for a mapping.
    bare = isinstance(value, str) and text.lstrip()[:1] not in {'"', "'"}
    unfinished = isinstance(value, dict) and None in value.values() and not text.lstrip().startswith("{")
    return text if bare or unfinished else value


def group_settings(group: str, config: Path | None, arguments: list[str], named: Mapping[str, Any]) -> FitConfig:
    """Settings of a verb that has a group of its own: the file, the fields given (of that group, or with the name of
    theirs before them), and the options of the verb that are not empty.
    """
    from nearfar.pipeline.config import FitConfig, read_config

    values = FitConfig.parse(read_config(config), str(config)).model_dump(exclude_unset=True) if config else {}
    groups = tuple(f"{name}." for name in FitConfig.model_fields)
    given = {key if key.startswith(groups) else f"{group}.{key}": value for key, value in fields(arguments).items()}
    named = {key: value for key, value in named.items() if value}
    return FitConfig.parse(merged(merged(values, given), named), "options")


def mode_of(*, resume: bool, overwrite: bool) -> Any:
    """One mode out of two options that exclude each other."""
    if resume and overwrite:
        raise BadInput.at("options", expected="--resume or --overwrite", found="both", do="choose one")
    return "resume" if resume else "overwrite" if overwrite else "new"


def storage_of(given: Sequence[str] | None) -> dict[str, str]:
    """Names and values of `--storage-option`.

    Raises:
        BadInput: one is no name with a value.
    """
    for option in given or ():
        if not option.partition("=")[0] or "=" not in option:  # it may be a secret, which is not shown again
            raise BadInput.at("--storage-option", expected="key=value", found="another form",
                              do="such as aws_region=eu-west-1")  # fmt: skip
    return {name: value for name, _, value in (option.partition("=") for option in given or ())}


def names(text: str) -> list[str]:
    """Names with commas, one by one."""
    return [part.strip() for part in text.split(",") if part.strip()]


def numbers(text: str) -> list[int]:
    """The whole numbers of `--bytes`, with commas.

    Raises:
        BadInput: it has another part, or none.
    """
    parts = names(text)
    if not parts or not all(part.isascii() and part.isdigit() for part in parts):
        raise BadInput.at("--bytes", expected="whole numbers with commas", found=excerpt(text), do="such as 16,32,64")
    return [int(part) for part in parts]
