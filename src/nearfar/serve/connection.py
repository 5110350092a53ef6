"""A connection that ends where its request does not come: in time, and with a head that is no flood."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 1 << 16
MOST_HEADERS = 128
REQUEST_S = 30.0  # in which a request has come whole


class HeadTooLong(Exception):
    """A request whose first line and headers are more than any client's; httptools makes 400 of it."""


class Connection(HttpToolsProtocol):
    """uvicorn's own, which takes headers without end and waits for a body for ever."""

    _head = 0  # bytes of a head that is not whole yet
    _in_head = False
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._head = self._head + len(data) if self._in_head else 0
        if self._head > MOST_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("Headers too long.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if len(self.headers) > MOST_HEADERS:
            raise HeadTooLong

    def on_headers_complete(self) -> None:
        self._in_head = False
        if sum(len(name) + len(value) for name, value in self.headers) > MOST_HEAD_BYTES:
            raise HeadTooLong
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._end()
        super().on_message_complete()

    def _begin(self) -> None:
        self._end()
        self._deadline = self.loop.call_later(REQUEST_S, self._late)

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        self.transport.close()
