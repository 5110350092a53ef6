"""What does the service answer, how late and in how much memory, when five times more is asked than it can do?"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package

import numpy as np
from load import Load, answered, loaded, request
from run import MODEL, folder_of_minilm, requests_of, service

import measure

QUICK = {"calm": 15.0, "seconds": 40.0}
DATA = ["nl2bash", "medquad", "banking77"]
BELOW, ABOVE = 0.8, 5.0  # of the requests a second that it can answer
CLIENTS = 16  # that find how many these are
PROBE_S, MEMORY_S = 0.1, 1.0  # between two looks at /livez, and at the memory
SETTLED = 0.1  # of the time, after which memory is compared
ALLOWED = {200, 413, 422, 429, 503}
ASKED_TO_WAIT = {429, 503}

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Flood:
    """What came of requests that arrive whether or not those before are answered."""

    statuses: Counter[int] = field(default_factory=Counter)
    took: list[float] = field(default_factory=list)  # seconds, of those with status 200
    refused: list[float] = field(default_factory=list)  # of the others
    probes: list[float] = field(default_factory=list)  # of /livez
    silent: int = 0  # answers 429 or 503 without Retry-After
    broken: int = 0  # connections that ended before the answer
    memory: list[float] = field(default_factory=list)  # MiB of the service, each second

    def figures(self) -> dict[str, Any]:
        """As a row of the table."""
        settled = self.memory[int(SETTLED * len(self.memory)) :]
        return {"statuses": {str(status): number for status, number in sorted(self.statuses.items())},
                "p50_ms": _ms(self.took, 50), "p99_ms": _ms(self.took, 99), "refused_p99_ms": _ms(self.refused, 99),
                "livez_p99_ms": _ms(self.probes, 99), "without_retry_after": self.silent, "broken": self.broken,
                "memory_mib": settled[0], "memory_growth": max(settled) / settled[0] - 1}  # fmt: skip


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--calm", type=float, default=60.0, help="seconds at 0.8 times what it can do")
    parser.add_argument("--seconds", type=float, default=600.0, help="at five times that")
    options = measure.options(parser, QUICK)
    allocator = measure.choose_allocator(plain=options.plain_allocator)
    bodies = requests_of(DATA)
    with service("nearfar", folder_of_minilm(), None) as (port, process):
        fresh = fresh_requests(port, bodies)
        asyncio.run(closed(port, fresh, min(5.0, options.calm)))  # warms up
        capacity = asyncio.run(closed(port, fresh, options.calm / 2)).figures()["requests_per_s"]
        measure.say(f"it answers {capacity:.1f} requests a second")
        rows = []
        for times, seconds in ((BELOW, options.calm), (ABOVE, options.seconds)):
            flood = asyncio.run(flooded(port, fresh, times * capacity, seconds, process.pid))
            rows.append({"times": times, "asked_per_s": times * capacity, **flood.figures()})
            print(json.dumps(rows[-1]), flush=True)
    measure.show(f"{capacity:.1f} requests a second are its capacity", rows)
    verdicts = judged(*rows)
    measure.finish({"capacity": capacity, "rows": rows, "holds": verdicts, **measure.facts(allocator)}, options.out)
    raise SystemExit(0 if all(verdicts.values()) else 1)


def judged(calm: dict[str, Any], flood: dict[str, Any]) -> dict[str, bool]:
    """What is promised of an overloaded service, and whether it held."""
    return {
        "only documented statuses": {int(status) for status in flood["statuses"]} <= ALLOWED and not flood["broken"],
        "Retry-After": not flood["without_retry_after"],
        "p99 of what is accepted at most three times": flood["p99_ms"] <= 3 * calm["p99_ms"],
        "memory grows by less than a tenth": flood["memory_growth"] < 0.1,
        "/livez within 100 ms": flood["livez_p99_ms"] < 100,
    }


def fresh_requests(port: int, bodies: list[list[str]]) -> Iterator[tuple[bytes, int]]:
    """Requests without an end, no text of which came before: no cache answers."""
    for number in count():
        texts = [f"{number} {text}" for text in bodies[number % len(bodies)]]
        yield request(port, "/v1/embeddings", json.dumps({"model": MODEL, "input": texts}).encode()), len(texts)


async def closed(port: int, fresh: Iterator[tuple[bytes, int]], seconds: float) -> Load:
    """What clients get that wait for an answer before they ask again."""
    return await loaded(port, [next(fresh) for _ in range(int(200 * seconds))], CLIENTS, seconds)


async def flooded(port: int, fresh: Iterator[tuple[bytes, int]], rate: float, seconds: float, pid: int) -> Flood:
    """Requests that arrive at random, so many a second."""
    found, idle, rng = Flood(), list[Connection](), np.random.default_rng(0)
    end, under_way = time.perf_counter() + seconds, set[asyncio.Task[None]]()
    watching = asyncio.gather(probed(port, found, end), weighed(pid, found, end))
    due = time.perf_counter()
    while due < end:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.create_task(one(port, next(fresh)[0], idle, found))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        due += rng.exponential(1 / rate)
    await asyncio.gather(watching, *under_way)
    for _, writer in idle:
        writer.close()
    return found


async def one(port: int, sent: bytes, idle: list[Connection], found: Flood) -> None:
    """One request, over a connection that is free or over a new one; its time is that of the connection too."""
    began = time.perf_counter()
    try:
        async with connection(port, idle) as (reader, writer):
            writer.write(sent)
            head = await answered(reader)
    except (OSError, asyncio.IncompleteReadError):
        found.broken += 1
        return
    (found.took if head.status == 200 else found.refused).append(time.perf_counter() - began)
    found.statuses[head.status] += 1
    found.silent += head.status in ASKED_TO_WAIT and not head.retry_after


@asynccontextmanager
async def connection(port: int, idle: list[Connection]) -> AsyncIterator[Connection]:
    """A connection, which is kept for the next if nothing befell it."""
    while idle and idle[-1][0].at_eof():  # the service closes what was not used for long
        idle.pop()[1].close()
    kept = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
    try:
        yield kept
    except BaseException:
        kept[1].close()
        raise
    idle.append(kept)


async def probed(port: int, found: Flood, end: float) -> None:
    """Ask whether it lives, as a supervisor does: over a new connection each time."""
    sent = f"GET /livez HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n".encode()
    while time.perf_counter() < end:
        began = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        await answered(reader)
        writer.close()
        found.probes.append(time.perf_counter() - began)
        await asyncio.sleep(PROBE_S)


async def weighed(pid: int, found: Flood, end: float) -> None:
    """The memory of the service."""
    while time.perf_counter() < end:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        found.memory.append(next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")))
        await asyncio.sleep(MEMORY_S)


def _ms(seconds: list[float], percentile: float) -> float:
    return float(1000 * np.percentile(seconds, percentile)) if seconds else float("nan")


if __name__ == "__main__":
    main()
