"""What long work says while it runs: lines and bars on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from nearfar.core.unicode import visible

Advance = Callable[[int, str], None]  # (steps done since the last call, note shown behind the bar)


class Reporter(Protocol):
    """Where progress goes."""

    def say(self, line: str) -> None: ...

    def bar(self, title: str, total: int) -> AbstractContextManager[Advance]: ...


class Terminal:
    """Progress on a terminal, or plain lines where standard error is a file."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)

    def say(self, line: str) -> None:
        self.console.print(visible(line), markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Advance]:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                   TextColumn("{task.fields[note]}"))  # fmt: skip
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as progress:
            task = progress.add_task(title, total=total, note="")
            yield lambda done, note: progress.update(task, advance=done, note=note)


class Silent:
    """No progress at all."""

    def say(self, line: str) -> None:
        """Drop the line."""

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Advance]:  # noqa: ARG002
        yield lambda _done, _note: None
