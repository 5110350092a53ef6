"""The service as a process: listening, and ending when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import uvicorn

from nearfar.core.errors import BadInput
from nearfar.serve.app import app_of
from nearfar.serve.config import ServeConfig
from nearfar.serve.connection import Connection
from nearfar.serve.service import Service

KEY = "NEARFAR_API_KEY"  # in the environment: what is on a command line, every process can read
SHORTEST_KEY = 16  # characters
CONNECTIONS = 2048  # that wait to be accepted
LAST_REQUESTS_S = 2.0  # in which a connection that is open may send one
POLL_S = 0.02
HANDSHAKE_S = 0.2  # in which a client that was answered says so, and is accepted

# What each packet to the socket goes through in the kernel (classic BPF: operation, jump if true, if false, operand):
# of TCP's flags, SYN without ACK, which opens a connection, is dropped. The client asks again a second later.
NO_MORE = b"".join(struct.pack("=HBBI", *step) for step in (
    (0x30, 0, 0, 13),  # load the byte of the flags
    (0x54, 0, 0, 0x12),  # SYN and ACK of it
    (0x15, 0, 1, 0x02),  # SYN alone?
    (0x06, 0, 0, 0),  # nothing of the packet is kept
    (0x06, 0, 0, 0xFFFFFFFF),  # all of it is
))  # fmt: skip
SO_ATTACH_FILTER = 26  # of Linux's sys/socket.h; Python has no name for it


def key_of(config: ServeConfig) -> str | None:
    """The key that requests must carry.

    Raises:
        BadInput: other machines can connect and there is none, or it is short.
    """
    key = os.environ.get(KEY) or None
    if key is None and not config.is_loopback:
        raise BadInput.at("--host", expected=f"the machine's own address, or a key in {KEY}", found=config.host,
                          do=f"set {KEY}, or leave --host out")  # fmt: skip
    if key is not None and (len(key) < SHORTEST_KEY or not key.isascii()):
        raise BadInput.at(KEY, expected=f"{SHORTEST_KEY} ASCII characters or more", found=str(len(key)),
                          do='such as: python -c "import secrets; print(secrets.token_urlsafe())"')  # fmt: skip
    return key


def bound(config: ServeConfig) -> socket.socket:
    """A socket at the address.

    Raises:
        BadInput: the address is taken, or is none of this machine.
    """
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((config.host, config.port))
    except OSError as error:
        listening.close()
        raise BadInput.at(f"{config.host}:{config.port}", expected="an address that is free", found=str(error),
                          do="choose another --port, or 0 for a free one") from None  # fmt: skip
    return listening


def url_of(listening: socket.socket) -> str:
    """Where the service is found."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """A server that ends without losing what it accepted: open connections may send a last request each."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, answer what comes over connections that are there, and close each behind its answer."""
        self.service.ready = False
        if all(open_no_more(listening) for listening in sockets or []):
            await asyncio.sleep(HANDSHAKE_S)
        same = [listening.dup() for listening in sockets or []]  # closing the last one resets what waits to be accepted
        for server in self.servers:
            server.close()
        for listening in sockets or []:
            listening.close()
        await asyncio.gather(*map(self._accept_the_last, same))
        for _ in range(int(LAST_REQUESTS_S / POLL_S)):
            if not self.server_state.connections:
                break
            await asyncio.sleep(POLL_S)
        await super().shutdown([])

    async def _accept_the_last(self, listening: socket.socket) -> None:
        listening.settimeout(0)
        listening.listen(0)  # the kernel takes no more than one that could come between here and the end
        waiting = list(_accepted(listening))
        listening.close()
        kind: Any = self.config.http_protocol_class
        protocol = partial(kind, config=self.config, server_state=self.server_state,
                           app_state=self.lifespan.state)  # fmt: skip
        loop = asyncio.get_running_loop()
        for connection in waiting:
            await loop.connect_accepted_socket(protocol, connection)


def open_no_more(listening: socket.socket) -> bool:
    """Let no new connection be opened, and whether the system can (Linux): closing the socket would reset one."""
    if sys.platform != "linux":
        return False
    steps = ctypes.create_string_buffer(NO_MORE, len(NO_MORE))
    try:
        listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                             struct.pack("HP", len(NO_MORE) // 8, ctypes.addressof(steps)))  # fmt: skip
    except OSError:  # a kernel without filters
        return False
    return True


def _accepted(listening: socket.socket) -> Iterator[socket.socket]:
    """Connections that wait."""
    with contextlib.suppress(BlockingIOError):
        while True:
            yield listening.accept()[0]


def run(service: Service, listening: socket.socket, key: str | None) -> None:
    """Answer until a signal to end, then finish what was accepted."""
    config = uvicorn.Config(
        app_of(service, key), lifespan="on", log_level="warning", access_log=False, server_header=False,
        http=Connection, ws="none", timeout_keep_alive=15, backlog=CONNECTIONS,
        timeout_graceful_shutdown=int(service.config.drain_s),
    )  # fmt: skip
    signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn sends itself the signal again when it has ended
    Server(config, service).run(sockets=[listening])
