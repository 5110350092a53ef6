"""The templates of the pages and of what a notebook shows; whatever is put into one is escaped."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from nearfar.report.filters import FILTERS


def template(name: str) -> Any:
    """A template of this folder."""
    return _environment().get_template(name)


@lru_cache(1)
def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        loader=PackageLoader("nearfar", "report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    return environment
