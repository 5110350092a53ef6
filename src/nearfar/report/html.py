"""One HTML file that needs nothing else: no network, no server, safe to open whatever the documents hold."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from errno import EISDIR
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import vl_convert
from altair import SCHEMA_VERSION

from nearfar.core.errors import BadInput
from nearfar.report.contents import ReportData
from nearfar.report.doctor_contents import DiagnosisData
from nearfar.report.doctor_figures import embedding_map, of_finding
from nearfar.report.doctor_figures import figures as doctor_figures
from nearfar.report.figures import figures
from nearfar.report.plan_contents import PlanData
from nearfar.report.plan_figures import quality
from nearfar.report.run_contents import RunData
from nearfar.report.templates import template
from nearfar.report.vega import Figure


def write_report(data: ReportData, path: Path) -> None:
    """Write the report of a run to `path`.

    Raises:
        BadInput: the file cannot be written.
    """
    _write(render(data), path)


def write_diagnosis(data: DiagnosisData, path: Path) -> None:
    """Write the doctor's page to `path`.

    Raises:
        BadInput: the file cannot be written.
    """
    _write(render_diagnosis(data), path)


def write_plan(data: PlanData, path: Path) -> None:
    """Write the page of a compression plan to `path`.

    Raises:
        BadInput: the file cannot be written.
    """
    _write(render_plan(data), path)


def write_run(data: RunData, path: Path) -> None:
    """Write the one page of a run to `path`.

    Raises:
        BadInput: the file cannot be written.
    """
    _write(render_run(data), path)


def render(data: ReportData) -> str:
    """The report of a run as text."""
    return _page("report.html.j2", data, figures(data), {"metrics": _metrics(data)})


def render_diagnosis(data: DiagnosisData) -> str:
    """The doctor's page as text."""
    own = {finding.failure: of_finding(finding) for finding in data.findings}
    return _page("doctor.html.j2", data, doctor_figures(data), {"own": own})


def render_plan(data: PlanData) -> str:
    """The page of a compression plan as text."""
    return _page("plan.html.j2", data, [quality(data)], {})


def render_run(data: RunData) -> str:
    """The one page of a run as text."""
    own = {finding.failure: of_finding(finding) for finding in data.findings}
    place = embedding_map(data.place, [finding.failure for finding in data.findings])
    parts = {"course": figures(data.report), "map": [place] if place else [],
             "codes": [quality(data.plan)] if data.plan else []}  # fmt: skip
    drawn = [figure for part in parts.values() for figure in part]
    return _page("run.html.j2", data, drawn, {**parts, "own": own, "metrics": _metrics(data.report)})


def _page(name: str, data: Any, drawn: list[Figure], more: Mapping[str, Any]) -> str:
    """The template with its figures: `drawn`, and those of each finding under "own" of the other values."""
    every = [*drawn, *(figure for figures in more.get("own", {}).values() for figure in figures)]
    panels = {f"{figure.name}-{i}": panel for figure in every for i, panel in enumerate(figure.panels)}
    scripts = [_vega(), _script("draw.js")]
    values = {"data": data, "figures": drawn, "panels": _json(panels), "scripts": scripts, "policy": _policy(scripts)}
    page: str = template(name).render(values | dict(more))
    return page


def check_writable(path: Path) -> None:
    """Refuse, before any work, a path at which no page can be written; what is there stays as it is.

    Raises:
        BadInput: its folder is missing or takes no files, or it is a folder itself.
    """
    with _beside(path) as scratch:
        if path.is_dir():
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
        scratch.touch()


def _write(page: str, path: Path) -> None:
    """The old file or the new one is there at any time, never a half."""
    with _beside(path) as scratch:
        scratch.write_text(page, encoding="utf-8", errors="replace")  # a lone surrogate shows as "?"
        scratch.replace(path)


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A file to write before it takes the place of `path`; what goes wrong with it is told of that."""
    scratch = path.parent / f".{path.name}.writing-{os.getpid()}"
    try:
        yield scratch
    except OSError as error:
        found, do = error.strerror or str(error), "free some space or choose another folder"
        raise BadInput.at(path, expected="a place to write to", found=found, do=do) from error
    finally:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            scratch.unlink()


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
