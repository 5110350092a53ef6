"""Searches of many requests made together: those that came while others were made are the next."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from nearfar.search.config import Mode
from nearfar.search.hits import Hits
from nearfar.search.index import Index
from nearfar.search.ranking import Asked
from nearfar.serve.pool import Pool

MOST = 16  # made at once: more gain little, and make the first of them wait


class Kind(NamedTuple):
    """What searches have in common that can be made together."""

    opened: int  # identity of the index: one that was opened anew is another
    k: int
    filter: str
    mode: Mode


@dataclass(frozen=True, eq=False)
class Job:
    """The search of one request."""

    index: Index
    asked: Asked
    kind: Kind
    done: Future[Hits] = field(default_factory=Future)


@dataclass
class Searches:
    """What waits for the threads of a pool.

    Reading texts from the table, reading a filter and the calls between take nearly as long for one search as for many.
    """

    pool: Pool
    waiting: deque[Job] = field(default_factory=deque)
    lock: threading.Lock = field(default_factory=threading.Lock)

    async def found(self, index: Index, asked: Asked, k: int, filter: str, mode: Mode) -> Hits:  # noqa: A002
        """What `index.found` does, of one query.

        Raises:
            Overloaded: too much waits already.
            BadInput: the filter cannot be read.
        """
        job = Job(index, asked, Kind(id(index), k, filter.strip(), mode))
        with self.lock:
            self.waiting.append(job)
        try:
            self.pool.submit(self._make, measured=False)
            return await asyncio.wrap_future(job.done)
        finally:
            with self.lock:
                if job in self.waiting:  # it was refused, or its client left
                    self.waiting.remove(job)

    def _make(self) -> None:
        """The first search that waits, with others like it; none where others' turns have made them all."""
        jobs = self._next()
        if not jobs:
            return
        first, start = jobs[0], time.perf_counter()
        try:
            together = first.index.with_vectors(
                [text for job in jobs for text in job.asked.texts], np.concatenate([job.asked.vectors for job in jobs])
            )
            found = first.index.found_many(together, first.kind.k, filter=first.kind.filter, mode=first.kind.mode)
            told = list(zip(jobs, found, strict=True))
        except BaseException as error:
            for job in jobs:
                job.done.set_exception(error)
            return
        self.pool.took(time.perf_counter() - start, len(jobs))  # turns of which nothing was left take no time
        for job, hits in told:
            job.done.set_result(hits)

    def _next(self) -> list[Job]:
        with self.lock:
            alike = [job for job in self.waiting if job.kind == self.waiting[0].kind][:MOST]
            for job in alike:
                self.waiting.remove(job)
        return [job for job in alike if job.done.set_running_or_notify_cancel()]  # from now on none can be cancelled
