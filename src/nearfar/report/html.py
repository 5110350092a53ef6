"""One HTML file that needs nothing else: no network, no server, safe to open whatever the documents hold."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import vl_convert
from altair import SCHEMA_VERSION
from jinja2 import Environment, PackageLoader, StrictUndefined

from nearfar.core.errors import BadInput
from nearfar.report.contents import ReportData
from nearfar.report.figures import figures

LONGEST_TEXT = 600  # characters of a document shown in an example


def write_report(data: ReportData, path: Path) -> None:
    """Write the report to `path`: the old file or the new one is there at any time, never a half.

    Raises:
        BadInput: the file cannot be written.
    """
    page = render(data)
    scratch = path.with_name(f".{path.name}.writing-{os.getpid()}")
    try:
        scratch.write_text(page, encoding="utf-8", errors="replace")  # a lone surrogate shows as "?"
        scratch.replace(path)
    except OSError as error:
        found, do = error.strerror or str(error), "free some space or choose another folder"
        raise BadInput.at(path, expected="a place to write to", found=found, do=do) from error
    finally:
        scratch.unlink(missing_ok=True)


def render(data: ReportData) -> str:
    """The whole page as text."""
    drawn = figures(data)
    panels = {f"{figure.name}-{i}": panel for figure in drawn for i, panel in enumerate(figure.panels)}
    scripts = [_vega(), _script("draw.js")]
    page: str = _template().render(
        data=data, figures=drawn, panels=_json(panels), scripts=scripts, policy=_policy(scripts), metrics=_metrics(data)
    )
    return page


def _metrics(data: ReportData) -> list[str]:
    """Names of the metrics of all systems, in order of first appearance."""
    return list(dict.fromkeys(name for metrics in data.systems.values() for name in metrics))


def _json(value: Any) -> str:
    """JSON that stays data inside <script>: no '<' means no '</script' and no '<!--'."""
    text = json.dumps(value, separators=(",", ":"))  # ASCII, so U+2028 is escaped too
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(scripts: list[str]) -> str:
    """A content security policy under which these very scripts run and nothing else does, nor loads anything."""
    allowed = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@lru_cache(1)
def _vega() -> str:
    """Vega, Vega-Lite and vega-embed in one script, of the version Altair writes for; it takes seconds to bundle."""
    version = ".".join(SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)
    return bundle.replace("\r\n", "\n").replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _script(name: str) -> str:
    return resources.files("nearfar.report").joinpath(name).read_text(encoding="utf-8")


def _template() -> Any:
    environment = Environment(
        autoescape=True,
        loader=PackageLoader("nearfar", "report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shorten"] = _shorten
    return environment.get_template("template.html.j2")


def _shorten(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT].rstrip() + " …"
