"""A closed loop of clients that send requests over kept connections, and how long each answer took."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np


@dataclass
class Load:
    """What came of a load."""

    seconds: float = 0.0
    took: list[float] = field(default_factory=list)  # seconds of each answer with status 200
    statuses: dict[int, int] = field(default_factory=dict)
    texts: int = 0

    def figures(self) -> dict[str, float]:
        """Requests and texts a second, and how long answers took, in milliseconds."""
        p50, p99 = (1000 * np.percentile(self.took, q) if self.took else float("nan") for q in (50, 99))
        return {"requests_per_s": len(self.took) / self.seconds, "texts_per_s": self.texts / self.seconds,
                "p50_ms": float(p50), "p99_ms": float(p99)}  # fmt: skip


def request(port: int, path: str, body: bytes) -> bytes:
    """A POST over HTTP/1.1."""
    head = [f"POST {path} HTTP/1.1", f"host: 127.0.0.1:{port}", "content-type: application/json",
            f"content-length: {len(body)}"]  # fmt: skip
    return "\r\n".join([*head, "", ""]).encode() + body


class Answer(NamedTuple):
    """What the head of an answer says."""

    status: int
    closes: bool  # whether the connection ends with it
    retry_after: bool  # whether it says when to come again


async def answered(reader: asyncio.StreamReader) -> Answer:
    """Read one answer whole."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    said = Answer(int(head[9:12]), b"connection: close" in head, b"\nretry-after:" in head)
    if b"content-length:" in head:
        await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
        return said
    while size := int(await reader.readline(), 16):
        await reader.readexactly(size + 2)
    await reader.readline()
    return said


async def loaded(
    port: int, requests: list[tuple[bytes, int]], clients: int, seconds: float, pause: float = 0.0
) -> Load:
    """So many clients, each of which sends its next request so many seconds after the one before is answered."""
    found, start = Load(), time.perf_counter()

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        turn = number
        while time.perf_counter() - start < seconds:
            sent, texts = requests[turn % len(requests)]
            turn += clients
            began = time.perf_counter()
            writer.write(sent)
            status = (await answered(reader)).status
            found.statuses[status] = found.statuses.get(status, 0) + 1
            if status == 200:
                found.took.append(time.perf_counter() - began)
                found.texts += texts
            if pause:
                await asyncio.sleep(pause)
        writer.close()

    await asyncio.gather(*map(client, range(clients)))
    found.seconds = time.perf_counter() - start
    return found
