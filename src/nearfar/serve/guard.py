"""What every request passes first: the host it was sent to, its key, and the headers of its answer."""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nearfar.serve.config import LOOPBACK
from nearfar.serve.errors import answer
from nearfar.serve.metrics import Metrics

NAME = r"(?P<name>\[[0-9a-fA-F:]+\]|[\w.-]+)(:\d{1,5})?"
HOST, ORIGIN = re.compile(NAME), re.compile(f"https?://{NAME}")
OPEN = frozenset({"/", "/docs", "/livez", "/readyz", "/health"})  # a prober has no key, nor has a page before it asks
MOST_DIGITS = 20  # of a length that the protocol lets through
SECURE = {
    "content-security-policy": "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """Refuses requests that are not to be answered, and counts all."""

    def __init__(
        self, app: ASGIApp, *, metrics: Metrics | None, key: str | None, loopback: bool, paths: frozenset[str],
        most_bytes: int, ending: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        self.app, self.metrics, self.key, self.loopback, self.paths = app, metrics, key, loopback, paths
        self.most_bytes = most_bytes
        self.ending = ending  # whether answers are the last of their connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def secured(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in SECURE.items():
                    headers.setdefault(name, value)
                if self.ending():
                    headers["connection"] = "close"
            await send(message)

        refusal = self._refusal(scope)
        try:
            await (self.app if refusal is None else refusal)(scope, receive, secured)
        finally:
            if self.metrics is not None:
                path = self._counted(scope)
                self.metrics.requests.labels(path, status).inc()
                self.metrics.seconds.labels(path).observe(time.perf_counter() - start)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        path, headers = scope["path"], Headers(scope=scope)
        if self.loopback and not _is_own(headers):
            return answer(path, 403, "expected a request to this machine by its own name, found another host")
        if not self._has_key(headers) and path not in OPEN and not path.startswith("/assets/"):
            return answer(path, 401, "expected the service's key; send Authorization: Bearer KEY")
        if (size := _bytes_to_come(headers)) > self.most_bytes:  # a body without a length is counted as it comes
            return answer(path, 413, f"expected a body of at most {self.most_bytes:,} bytes, found {size:,}; "
                                     "send it in parts")  # fmt: skip
        return None

    def _has_key(self, headers: Headers) -> bool:
        given = headers.get("authorization", "").removeprefix("Bearer ").encode("latin-1")
        return self.key is None or hmac.compare_digest(given, self.key.encode())

    def _counted(self, scope: Scope) -> str:
        """The path as it is counted: of few different ones, whatever is asked for."""
        path = str(getattr(scope.get("route"), "path", "") or scope["path"])
        return path if path in self.paths else "other"


def _bytes_to_come(headers: Headers) -> int:
    length = headers.get("content-length", "")
    return int(length) if length.isdecimal() and len(length) < MOST_DIGITS else 0


def _is_own(headers: Headers) -> bool:
    """Whether a request names this machine, and is none of a page of another: such a page had its name point here."""
    hosts, origins = headers.getlist("host"), headers.getlist("origin")
    own = [HOST.fullmatch(host) for host in hosts] + [ORIGIN.fullmatch(origin) for origin in origins]
    return len(hosts) == 1 and all(found and found["name"].strip("[]").lower() in LOOPBACK for found in own)
