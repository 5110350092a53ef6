"""`fit`: real pairs in, a measured model, its index and a report out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformer

from nearfar.core.artifact import check_place
from nearfar.core.config import merged
from nearfar.data.dataset import Dataset
from nearfar.data.read import Item
from nearfar.pipeline.config import FitConfig
from nearfar.pipeline.dev import dev_set
from nearfar.pipeline.faults import resumable
from nearfar.pipeline.finish import finish, measure_before
from nearfar.pipeline.graph import Outcome, run_stages
from nearfar.pipeline.progress import Reporter, Silent, Terminal
from nearfar.pipeline.run import RECORD, Run
from nearfar.pipeline.session import (
    STARTED,
    UNSEEN,
    Mode,
    Session,
    begin,
    open_session,
    read_started,
    refuse_existing,
    refuse_to_replace,
    remove_run,
    settings_of,
)
from nearfar.pipeline.training import train
from nearfar.train.distributed import launched
from nearfar.train.tracker import Tracker, open_tracker


def fit(
    data: Dataset | str | Path | Iterable[Item] | None = None,
    *,
    base: str | Path | SentenceTransformer | None = None,
    out: str | Path | None = None,
    config: FitConfig | Mapping[str, Any] | None = None,
    mode: Mode = "new",
    reporter: Reporter | None = None,
    tracker: Tracker | None = None,
) -> Run:
    """Fine-tune a base model on pairs, measure it against the base and BM25, and write a run folder.

    Args:
        data: (query, positive) pairs, dictionaries, a data set, or a path; instead of `config.data.source`.
        base: model to start from; instead of `config.base`.
        out: run folder to write; instead of `config.out`.
        config: everything else, as a FitConfig or nested or dotted keys: {"train.epochs": 3}.
        mode: "new" refuses a run folder that exists, "overwrite" replaces it, and "resume" goes on with it; what it
            was started with is read from the folder where it is not given again.
        tracker: gets loss, learning rate and dev metric of every step, instead of what `config.curves` names.

    Raises:
        BadInput: data, base or settings cannot be used, or the run folder exists.
        Interrupted: Ctrl-C; `mode="resume"` goes on.
    """
    with launched() as workers:
        reporter = (reporter or Terminal()) if workers.is_first else Silent()
        settings = settings_of(config, data, base, out)
        told = workers.first(lambda: _settings(settings, mode, given=data is not None))
        if told is None:
            reporter.say(f"{settings.out} is finished already")
            return Run.open(settings.out)
        session = open_session(FitConfig.parse(told, "configuration"), data, base, reporter, workers)
        if tracker is None and session.config.curves and workers.is_first:
            tracker = open_tracker(session.config.curves)
        try:
            return _run(replace(session, tracker=tracker if workers.is_first else None), mode)
        finally:
            session.adaptation.release()  # whatever happened: a model in memory is the user's


def _settings(settings: FitConfig, mode: Mode, *, given: bool) -> dict[str, Any] | None:
    """What the run is done with, as JSON; None when it is finished already."""
    folder = Path(settings.out)
    check_place(folder)
    if mode == "new":
        refuse_existing(folder)
    elif mode == "overwrite":
        refuse_to_replace(folder, settings.data.source)
    elif (folder / RECORD).exists() and not _has_stages(folder):
        return None
    elif not given and settings.data.source is None:
        own = settings.model_dump(exclude_unset=True)
        settings = FitConfig.parse(merged(read_started(folder), own), str(folder / STARTED))
    elif settings.train.precision is None and (folder / STARTED).exists():  # another probe may find another one
        started = read_started(folder)["train"]["precision"]
        settings = FitConfig.parse(merged(settings.model_dump(), {"train.precision": started}), "configuration")
    told = settings.model_dump(mode="json")
    return None if mode == "resume" and _is_done(told, folder) else told


def _has_stages(folder: Path) -> bool:
    """Whether the finished run in `folder` can be gone on with: its stages may have been changed."""
    return bool(Run.open(folder).record.get("stages"))


def _is_done(settings: Mapping[str, Any], folder: Path) -> bool:
    """Whether there is a finished run of these settings."""
    if not (folder / RECORD).exists():
        return False
    asked, done = _decisive(settings), _decisive(Run.open(folder).record["config"])
    return asked == done


def _decisive(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that the model depends on."""
    train = {key: value for key, value in config["train"].items() if key not in UNSEEN}
    return {**{key: value for key, value in config.items() if key not in {"out", "mine"}}, "train": train}


def _run(session: Session, mode: Mode) -> Run:
    workers = session.workers
    if mode == "overwrite" and workers.is_first:
        remove_run(session.folder)
    elif mode == "resume":
        session = session.resumed()
    session.introduce()
    with resumable(session.folder):
        if workers.is_first:
            session = begin(session)
        workers.wait_for_first()
        if not workers.is_first:
            _trained(session.instructed())
            workers.wait_for_first()
            return Run.open(session.folder)
        before = measure_before(session)
        session = session.instructed()  # not earlier: the base is measured with its own prompts
        made = _trained(session)
        session = replace(session, space=replace(session.space, encoder=made.encoder))
        run = finish(session, before, made)
        workers.wait_for_first()
        return run


def _trained(session: Session) -> Outcome:
    dev = dev_set(session.dataset, session.config.eval, session.config.train.seed)
    if session.config.has_graph:
        return run_stages(session, dev)
    trained = train(session, dev)
    return Outcome(session.space.encoder, trained.progress, learnt=trained.learnt)
