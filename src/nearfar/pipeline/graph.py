"""The stages of a run as a graph with content-keyed outputs: what has been made is read, and never made again.

The key of a stage digests its settings and everything it is made from, so a changed stage gets another folder, and so
do those after it that its output reaches; those before it are found as they are.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearfar.core.artifact import read_manifest, writing
from nearfar.core.errors import BadInput, DiskTrouble, Ended, Interrupted, NearfarError, ProcessFailed
from nearfar.core.fingerprint import digest
from nearfar.encoder.encoder import Encoder
from nearfar.pipeline.config import MAIN_METRIC
from nearfar.pipeline.dev import DevSet, dev_set
from nearfar.pipeline.session import Session
from nearfar.pipeline.stages import Stage
from nearfar.pipeline.work import State, Work
from nearfar.pipeline.works import WORKS
from nearfar.train.codes import Learnt
from nearfar.train.progress import Progress

STAGES, KIND = "stages", "stage"


@dataclass(frozen=True)
class Outcome:
    """What a run has trained, how it went, and a line for each of its stages."""

    encoder: Encoder
    progress: Progress
    stages: tuple[Mapping[str, Any], ...] = ()
    learnt: Learnt | None = None  # a codec that learnt with the encoder


def run_stages(session: Session, dev: DevSet) -> Outcome:
    """Do the stages of the run that are not done yet, in their order.

    Raises:
        Interrupted: Ctrl-C; a resumed run goes on inside the stage.
        NearfarError: a stage failed; the outputs of those before it are kept.
    """
    stages = session.config.plan
    state, lines, curves = State(session.space.encoder, session.dataset, session.dataset), [], []
    for number, stage in enumerate(stages, 1):
        with _told(number, stage):
            work = WORKS[stage.kind](session, _dev(session, dev, state), state, stage, number)
            folder = _folder(session, work, number, stage)
            record = _record(session, work, folder, number)
            state = work.after(folder)
        lines.append({"stage": number, "kind": stage.kind, "folder": folder.name, "seconds": record["seconds"],
                      "dev_before": record.get("before"), "dev_after": record.get("after"),
                      "settings": stage.model_dump(mode="json", exclude={"kind"})})  # fmt: skip
        if "progress" in record:
            curves.append(Progress.parse(record["progress"]))
            if curves[-1].alarms and session.config.train.monitor == "stop":
                session.space.reporter.say("the stages after it are left out: train.monitor is stop")
                break
    return Outcome(state.encoder, _joined(curves, sum(line["seconds"] for line in lines)), tuple(lines))


def _dev(session: Session, dev: DevSet, state: State) -> DevSet:
    """The run's, or that of the data as a stage has left them."""
    if state.dataset.splits["dev"] is session.dataset.splits["dev"]:
        return dev
    return dev_set(state.dataset, session.config.eval, session.config.train.seed)


def _folder(session: Session, work: Work, number: int, stage: Stage) -> Path:
    return session.folder / STAGES / f"{number}-{stage.kind}-{digest(work.inputs())}"


def _record(session: Session, work: Work, folder: Path, number: int) -> Mapping[str, Any]:
    """What is written about the output in `folder`, which is made when it is not there or damaged."""
    workers, say = session.workers, session.space.reporter.say
    title = f"stage {number} of {len(session.config.plan)}, {work.stage.kind}"
    found = workers.first(lambda: _found(session, folder))
    if found is not None:
        say(f"{title}: made before")
        return found
    say(f"{title}: {work.title}")
    started = time.monotonic()
    if workers.is_first or work.together:
        made = work.make(folder.name)
    if workers.is_first:
        seconds = made.record.get("progress", {}).get("seconds") or time.monotonic() - started
        record = {**made.record, "seconds": round(seconds, 3)}
        with writing(folder, KIND, record, overwrite=True) as scratch:
            made.write(scratch)
        say(_line(title, record))
    told = workers.first(lambda: record)
    if workers.is_first:
        work.clear(folder.name)
    return told


def _found(session: Session, folder: Path) -> dict[str, Any] | None:
    if not folder.exists():
        return None
    try:
        return read_manifest(folder, KIND)
    except BadInput as error:
        session.space.reporter.say(f"warning: {error.where or folder}: found {error.found or error}; made again")
        return None


def _line(title: str, record: Mapping[str, Any]) -> str:
    before, after = record.get("before"), record.get("after")
    dev = "" if after is None else f", dev {MAIN_METRIC} {before:.3f} before and {after:.3f} after"
    return f"{title}: {record['seconds']:.0f} s{dev}"


def _joined(curves: Sequence[Progress], seconds: float) -> Progress:
    """The progress of all training in the run, the stages' steps counted on."""
    starts = [sum(curve.step for curve in curves[:i]) for i in range(len(curves))]
    if not curves:
        return Progress(seconds=seconds)
    return Progress(
        step=starts[-1] + curves[-1].step,
        losses=tuple(loss for curve in curves for loss in curve.losses),
        learning_rates=tuple(rate for curve in curves for rate in curve.learning_rates),
        dev=tuple((start + step, value) for start, curve in zip(starts, curves, strict=True)
                  for step, value in curve.dev),
        best_step=starts[-1] + curves[-1].best_step,
        best=curves[-1].best,
        seconds=seconds,
        alarms=tuple((start + step, failure, reason) for start, curve in zip(starts, curves, strict=True)
                     for step, failure, reason in curve.alarms),
    )  # fmt: skip


@contextmanager
def _told(number: int, stage: Stage) -> Iterator[None]:
    """Say of an error in which stage it was, and how to go on."""
    try:
        yield
    except (Interrupted, DiskTrouble, Ended, ProcessFailed):  # these say it themselves
        raise
    except NearfarError as error:
        kept = "" if number == 1 else f"; what the {number - 1} before it made is kept"
        raise NearfarError(f"stage {number} ({stage.kind}): {error}{kept}; go on with --resume") from error
