"""Threads for work that is not the model's."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from nearfar.serve.batcher import Overloaded
from nearfar.serve.patience import Patience

T = TypeVar("T")
SMOOTHING = 0.1  # of the measured seconds


@dataclass
class Pool:
    """Threads for work that is not the model's, and how much waits for them."""

    name: str
    threads: int
    most: int  # pieces of work that may wait
    patience: Patience = field(default_factory=lambda: Patience(math.inf))
    seconds: float = 0.002  # of one, smoothed
    waiting: int = 0
    begin: Callable[[], Any] = lambda: None  # in each thread, once
    executor: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self.executor = ThreadPoolExecutor(self.threads, thread_name_prefix=self.name, initializer=self.begin)

    async def run(self, work: Callable[[], T], count: int = 1) -> T:
        """The result of work, in its turn.

        Raises:
            Overloaded: too much waits already.
        """
        return await asyncio.wrap_future(self.submit(work, count))

    def submit(self, work: Callable[[], T], count: int = 1, *, measured: bool = True) -> Future[T]:
        """Have work done in its turn; called from the event loop.

        Args:
            measured: whether its time tells how long others will wait; where not, the work says so itself (`took`).

        Raises:
            Overloaded: too much waits already.
        """
        delay = self.waiting * self.seconds / self.threads
        if self.waiting and (self.waiting + count > self.most or not self.patience.lets_in(delay)):
            raise Overloaded(delay)
        loop = asyncio.get_running_loop()

        def timed() -> T:
            start = time.perf_counter()
            try:
                return work()
            finally:
                if measured:
                    self.took(time.perf_counter() - start, count)

        def ended(_: Future[T]) -> None:  # when the thread has, which goes on where no one waits any more
            with suppress(RuntimeError):  # the loop has ended too
                loop.call_soon_threadsafe(self._leave, count)

        self.waiting += count
        future = self.executor.submit(timed)
        future.add_done_callback(ended)
        return future

    def took(self, seconds: float, count: int) -> None:
        """Learn what so many pieces of work took."""
        self.seconds += SMOOTHING * (seconds / count - self.seconds)

    def _leave(self, count: int) -> None:
        self.waiting -= count
