"""Curves of a run while it trains: one method, and two trackers that have it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from nearfar.core.artifact import check_place
from nearfar.core.disk import disk_told
from nearfar.core.errors import BadInput, MissingExtra
from nearfar.train.progress import Progress

LINES = ".jsonl"


class Tracker(Protocol):
    """Where curves go."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take the values after so many steps, each by its name; steps never go back."""
        ...


class JsonLines:
    """A line for each step: {"step": 3, "train/loss": 1.25, …}.

    Of a file that exists, the lines before the first step logged are kept: a resumed run goes on in its own.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._started = path, False

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add a line.

        Raises:
            DiskTrouble: the disk cannot take it.
        """
        with disk_told(self.path, self.path):
            if not self._started:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                before = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
                self.path.write_text("".join(f"{line}\n" for line in before if _step(line) < step), encoding="utf-8")
                self._started = True
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, **values}) + "\n")


class TensorBoard:
    """Scalars in a folder that `tensorboard --logdir` shows.

    Raises:
        MissingExtra: the package `tensorboard` is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 -- optional extra
        except ImportError:
            raise MissingExtra.of("a folder of curves for TensorBoard", "tensorboard") from None
        self._open: Callable[[int], Any] = lambda step: SummaryWriter(str(folder), purge_step=step)
        self._writer: Any = None

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each curve."""
        self._writer = self._writer or self._open(step)  # what an interrupted run drew after this step is hidden
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()


def open_tracker(place: str) -> Tracker:
    """A file of lines when the name ends in .jsonl, else a TensorBoard folder.

    Raises:
        BadInput: nothing can be written there.
        MissingExtra: the package `tensorboard` is not installed.
    """
    path = Path(place)
    check_place(path)
    if path.suffix != LINES:
        return TensorBoard(path)
    if path.is_dir():
        raise BadInput.at(path, expected="a file to write", found="a folder", do="name a file, or leave out .jsonl")
    return JsonLines(path)


def log_progress(tracker: Tracker, progress: Progress, metric: str) -> None:
    """Log the step just made: train/loss, train/learning_rate, seconds, and dev/`metric` where it was evaluated."""
    step = progress.step
    at, value = progress.dev[-1]
    if step == 1:  # the base's evaluation comes before any step
        tracker.log(0, {f"dev/{metric}": progress.dev[0][1]})
    tracker.log(step, {"train/loss": progress.losses[-1], "train/learning_rate": progress.learning_rates[-1],
                       "seconds": progress.seconds, **({f"dev/{metric}": value} if at == step else {})})  # fmt: skip


def _step(line: str) -> float:
    """The step of a line; of one cut short, after all others."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError):
        return float("inf")
