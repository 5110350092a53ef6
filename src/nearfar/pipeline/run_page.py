"""One file with all that a run has to show: what was measured and found, and the map of its index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nearfar.core.errors import BadInput, NearfarError
from nearfar.diagnose.finding import Finding
from nearfar.pipeline.coding import Bench
from nearfar.pipeline.config import MAIN_METRIC
from nearfar.pipeline.doctor_page import Placed, place_of
from nearfar.pipeline.evaluate import estimates, texts_of
from nearfar.pipeline.progress import Reporter, Silent
from nearfar.pipeline.report import NAMES, facts_of
from nearfar.pipeline.run import RECORD, Run
from nearfar.report import kept
from nearfar.report.contents import Curve, ReportData
from nearfar.report.doctor_contents import Place
from nearfar.report.html import check_writable, write_run
from nearfar.report.run_contents import RunData


def write_page(run: str | Path, path: str | Path, *, reporter: Reporter | None = None) -> None:
    """Write one HTML file with a run's metrics, curves, findings, codes and map, which needs no network and no service.

    The doctor's findings and the plan are those that `doctor model` and `plan` left in the run; a part that is not
    there is left out.

    Raises:
        BadInput: it is no finished run, what lies in it cannot be read, or the file cannot be written.
    """
    opened = Run.open(run)
    check_writable(Path(path))
    write_run(page_data(opened, reporter or Silent()), Path(path))


def page_data(run: Run, reporter: Reporter) -> RunData:
    """What the page of a run shows.

    Raises:
        BadInput: what lies in the run cannot be read.
    """
    findings, plan = kept.findings(run.path), kept.frontier(run.path)
    try:
        report = _report(run, _scores(run.path, reporter))
        alarms = tuple(f"{str(failure).replace('_', ' ')} after step {step}: {reason}"
                       for step, failure, reason in run.record.get("alarms", ()))  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput.at(run.path / RECORD, expected="the record of a finished run",
                          found=f"another ({type(error).__name__}: {error})", do="run again") from None  # fmt: skip
    return RunData(report, alarms, findings, _place(run, findings, reporter), plan)


def _report(run: Run, scores: kept.Scores) -> ReportData:
    record = run.record
    systems = {label: {metric.partition("/")[2]: values for metric, values in scores.items()
                       if metric.startswith(f"{name}/")} for name, label in NAMES.items()}  # fmt: skip
    before, after = (scores.get(f"{name}/{MAIN_METRIC}", np.empty(0)) for name in ("base", "model"))
    losses = tuple((step, float(loss), 0.0) for step, loss in enumerate(record["losses"], 1))
    return ReportData(
        title=f"{record['data']['name']}: {record['config']['base']} fine-tuned",
        verdict=run.verdict,
        systems={label: estimates(values) for label, values in systems.items() if values},
        curve=Curve(losses, tuple((int(step), float(value)) for step, value in record["dev"])),
        before=before,
        after=after,
        facts=facts_of(record),
        notices=tuple(record["data"]["notices"]),
    )


def _scores(run: Path, reporter: Reporter) -> kept.Scores:
    """Scores of each test query by system and metric; none, as is then told, where the run has lost them."""
    try:
        return kept.scores(run)
    except BadInput as error:
        reporter.say(f"metrics: left out: {error}")
        return {}


def _place(run: Run, findings: tuple[Finding, ...], reporter: Reporter) -> Place | None:
    """The map of the index and the test queries; none, as is then told, where one of them cannot be had."""
    try:
        bench = Bench.open(run.path, None, reporter)
        asked = bench.asked("test")
    except NearfarError as error:
        reporter.say(f"map: left out: {error}")
        return None
    queries: Any = texts_of(bench.dataset.queries, asked.judged.queries)
    answered = asked.full.per_query[MAIN_METRIC] > 0
    return place_of(Placed(bench.index.texts, bench.index.vectors), Placed(queries, asked.vectors), answered, findings)
