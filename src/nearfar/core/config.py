"""Base of all configuration: frozen pydantic models whose errors name the nearest right key."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator
from pydantic_core import ErrorDetails

from nearfar.core.errors import BadInput, excerpt

LARGEST = 2**53  # the last whole number that every JSON reader keeps, and far inside what numpy and torch take


def nearest(name: str, known: list[str]) -> str:
    """Return a hint naming the nearest of `known` to `name`, or all of them when none is near."""
    match = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean '{match[0]}'?" if match else f"choose one of: {', '.join(sorted(known))}"


class Config(BaseModel):
    """A frozen, keyword-only group of settings that lives beside the code it configures."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True)

    @field_validator("*")
    @classmethod
    def _in_reach(cls, value: Any) -> Any:
        if isinstance(value, int) and abs(value) > LARGEST:
            raise ValueError(f"a number of at most {LARGEST}")
        return value

    @classmethod
    def parse(cls, values: Mapping[str, Any], where: str) -> Self:
        """Validate `values` that came from `where` (a file name, say).

        Raises:
            BadInput: a key is unknown (the nearest is named) or a value has the wrong type or range.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise BadInput(f"{where}: {_explain(cls, error.errors()[0])}") from None
        except BadInput as error:  # of a validator
            raise BadInput(f"{where}: {error}") from None


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Put nested or dotted keys, such as {"train.epochs": 3}, over nested values."""
    result = dict(values)
    for key, value in changes.items():
        head, _, rest = key.partition(".")
        inner = result.get(head)
        nested = {rest: value} if rest else value
        over = inner if isinstance(inner, dict) else {}
        result[head] = merged(over, nested) if isinstance(nested, Mapping) else value
    return result


def fields_of(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Names of the fields of the model, or the models of a union, found by following `path` down from `model`."""
    models = [model]
    for key in path:
        fields = [owner.model_fields[str(key)] for owner in models if str(key) in owner.model_fields]
        deeper = [found for field in fields for found in _models_in(field.annotation)]
        # the other keys are a row of a list, a key of a mapping, or the name of one model of a union
        models = deeper or [found for found in models if found.__name__ == key] or models
    return list(dict.fromkeys(name for found in models for name in found.model_fields))


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models_in(argument)


def _explain(model: type[BaseModel], problem: ErrorDetails) -> str:
    path = problem["loc"]
    key = excerpt(".".join(map(str, path)))
    if problem["type"] in {"extra_forbidden", "invalid_key"}:
        hint = nearest(str(path[-1]), fields_of(model, path[:-1]))
        return f"expected a known key, found {key}; {hint}"
    if problem["type"] == "missing":
        return f"expected the key {key}, found none; add {key}"
    if problem["type"] == "union_tag_not_found":
        choice = problem["ctx"]["discriminator"].strip("'")
        return f"expected the key {excerpt('.'.join(map(str, (*path, choice))))}, found none; add it"
    if problem["type"] == "union_tag_invalid":
        choice, tag = problem["ctx"]["discriminator"].strip("'"), problem["ctx"]["tag"]
        hint = nearest(tag, [known.strip("'") for known in problem["ctx"]["expected_tags"].split(", ")])
        return f"{key}: expected a known {choice}, found {excerpt(tag)}; {hint}"
    found = excerpt(str(problem["input"]))
    if problem["type"] == "model_type":
        names = ", ".join(fields_of(model, path))
        place = f"{key}: " if path else ""
        return f"{place}expected keys with values, found {found}; choose keys from: {names}"
    return f"{key}: expected {_expectation(problem['msg'])}, found {found}; change {key}"


def _expectation(message: str) -> str:
    for prefix in ("Input should be ", "Value error, "):
        message = message.removeprefix(prefix)
    return message.partition(", unable to parse")[0]
