"""Clients that lie, wait or flood are cut off, and others are answered meanwhile."""

import asyncio
import gzip
import json
import socket
import threading
import time

import httpx
import pytest

from nearfar.encoder.precision import Policy
from nearfar.encoder.save import save_encoder
from nearfar.serve import connection
from nearfar.serve.app import app_of
from nearfar.serve.batcher import Overloaded
from nearfar.serve.config import ServeConfig
from nearfar.serve.guard import Guard
from nearfar.serve.pool import Pool
from nearfar.serve.service import Service
from serving import serving
from tiny_models import tiny_static

BODY = json.dumps({"model": "model", "input": "a text"}).encode()
FLOOD = b"1000\r\n" + b" " * 0x1000 + b"\r\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("connections") / "model"
    save_encoder(tiny_static(), folder / "model", card="")
    return folder / "model"


@pytest.fixture(scope="module")
def address(folder):
    service = Service.open(folder, ServeConfig(most_bytes=1 << 20), policy=Policy())
    with serving(service) as url:
        yield "127.0.0.1", int(url.rpartition(":")[2])


def head(*lines, path="/v1/embeddings", method="POST", host="Host: localhost"):
    return "\r\n".join([f"{method} {path} HTTP/1.1", host, "Content-Type: application/json", *lines, "", ""]).encode()


def sent(address, content, wait=1.0):
    """What comes back, until the other side closes or is silent."""
    with socket.create_connection(address, timeout=wait) as one:
        try:
            one.sendall(content)
        except OSError:
            return b"closed"
        found = b""
        while True:
            try:
                more = one.recv(65536)
            except TimeoutError:
                return found
            except OSError:
                return found + b"closed"
            if not more:
                return found + b"closed"
            found += more


def status(found):
    return int(found.split()[1]) if found.startswith(b"HTTP/1.1 ") else found


LENGTH, LAST = f"Content-Length: {len(BODY)}", "Connection: close"
CHUNKED = "Transfer-Encoding: chunked"
PACKED = gzip.compress(BODY)
SHAPES = {
    "right": (head(LENGTH, LAST) + BODY, 200),
    "length and chunks": (head(LENGTH, CHUNKED) + BODY, 400),
    "chunks and length": (head(CHUNKED, LENGTH) + BODY, 400),
    "two lengths": (head(LENGTH, "Content-Length: 1") + BODY, 400),
    "a length below zero": (head("Content-Length: -1") + BODY, 400),
    "a length of 23 digits": (head("Content-Length: 99999999999999999999999") + BODY, 400),
    "a length that is too short": (head("Content-Length: 5", LAST) + BODY, 422),
    "a length above the limit": (head("Content-Length: 1000000000", LAST) + BODY, 413),
    "chunks above the limit": (head(CHUNKED, LAST) + FLOOD * 300 + b"0\r\n\r\n", 413),
    "a chunk of 2^72": (head(CHUNKED) + b"fffffffffffffffff\r\nx", 400),
    "a chunk without a size": (head(CHUNKED) + b"zz\r\n", 400),
    "chunks of another coding": (head("Transfer-Encoding: xchunked") + BODY, 400),
    "a packed body": (head("Content-Encoding: gzip", f"Content-Length: {len(PACKED)}", LAST) + PACKED, 400),
    "10,000 headers": (head(*(f"X-{n}: y" for n in range(10_000)), method="GET", path="/livez"), 400),
    "a header of 1 MB": (head("X: " + "y" * (1 << 20), method="GET", path="/livez"), 400),
    "a path of 1 MB": (head(method="GET", path="/" + "y" * (1 << 20)), 400),
    "a NUL in a header": (head("X: a\0b", method="GET", path="/livez"), 400),
    "a header that goes on": (head("X: a\r\n Host: evil", method="GET", path="/livez"), 400),
    "a space before the colon": (head("X : a", method="GET", path="/livez"), 400),
    "no host": (b"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n", 403),
    "two hosts": (head("Host: evil.example", LAST, method="GET", path="/livez"), 403),
    "a host behind a port": (head(LAST, method="GET", path="/livez", host="Host: localhost:80:evil.example"), 403),
    "a host behind a user": (head(LAST, method="GET", path="/livez", host="Host: localhost@evil.example"), 403),
    "a host behind brackets": (head(LAST, method="GET", path="/livez", host="Host: [::1]evil.example"), 403),
    "a page elsewhere": (head("Origin: http://evil.example", LENGTH, LAST) + BODY, 403),
    "a page of no origin": (head("Origin: null", LENGTH, LAST) + BODY, 403),
    "a page of this machine": (head("Origin: http://localhost:8080", LENGTH, LAST) + BODY, 200),
    "a question before a page's": (head("Origin: http://evil.example", LAST, method="OPTIONS"), 403),
    "a websocket": (head("Upgrade: websocket", "Connection: Upgrade", method="GET"), 405),
    "TRACE": (head(LAST, method="TRACE", path="/livez"), 405),
    "CONNECT": (head(LAST, method="CONNECT", path="x:80"), 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00" + b"\xff" * 100, 400),
    "a climbing path": (head(LAST, method="GET", path="/assets/%2e%2e%2f%2e%2e%2fetc%2fpasswd"), 404),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_of_requests(address, name):
    content, expected = SHAPES[name]
    assert status(sent(address, content)) in {expected, b"closed" if len(content) > 1 << 19 else expected}


def test_requests_behind_one_another_are_answered_in_turn(address):
    found = sent(address, (head(LENGTH) + BODY) * 3 + head(LAST, method="GET", path="/livez"))
    assert found.count(b"HTTP/1.1 200 OK") == 4
    assert found.endswith(b"okclosed")


def test_slow_and_silent_clients_are_let_go_and_keep_no_one_waiting(address, monkeypatch):
    monkeypatch.setattr(connection, "REQUEST_S", 1.0)
    silent = [socket.create_connection(address) for _ in range(200)]
    waiting = socket.create_connection(address)
    waiting.sendall(head("Content-Length: 500") + b"{")
    dripping, start = socket.create_connection(address), time.monotonic()
    took = []
    with httpx.Client(base_url=f"http://localhost:{address[1]}") as client:
        for letter in head("X: " + "y" * 200, method="GET", path="/livez"):
            try:
                dripping.sendall(bytes([letter]))
            except OSError:
                break
            before = time.perf_counter()
            assert client.get("/livez").status_code == 200
            took.append(time.perf_counter() - before)
            time.sleep(0.05)
    assert time.monotonic() - start < 5
    assert sorted(took)[len(took) // 2] < 0.5
    for one in (*silent, waiting):
        one.settimeout(3)
        assert b"200" not in one.recv(1000)
        one.close()


def test_a_key_is_compared_whatever_its_letters():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["path"])

    def asked(value):
        status = []

        async def send(message):
            status.append(message.get("status"))

        guard = Guard(app, metrics=None, key="a key that is long enough", loopback=False, paths=frozenset(),
                      most_bytes=1 << 20)  # fmt: skip
        scope = {"type": "http", "path": "/search", "method": "GET", "headers": [(b"authorization", value)]}
        asyncio.run(guard(scope, None, send))
        return status[0] if status else None

    for value in (
        b"Bearer \xe9",
        b"Bearer a key that is long enough\x00",
        "Bearer ключ".encode(),
        b"",
        b"Bearer " * 1000,
    ):
        assert asked(value) == 401
    assert seen == []
    assert asked(b"Bearer a key that is long enough") is None
    assert seen == ["/search"]


def test_work_counts_until_its_thread_has_ended():
    pool, held = Pool("held", 1, 2), threading.Event()

    async def tried():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await pool.run(held.wait, 2)
        assert pool.waiting == 2
        with pytest.raises(Overloaded):
            await pool.run(lambda: 1)
        held.set()
        while pool.waiting:
            await asyncio.sleep(0.01)
        return await pool.run(lambda: 1)

    assert asyncio.run(tried()) == 1
    pool.executor.shutdown()


def test_a_service_ends_its_threads_and_its_bases(folder):
    async def once():
        async with app_of(service).router.lifespan_context(None):
            await service.search_pool.run(lambda: None)
            await service.base.search_pool.run(lambda: None)

    before = set(threading.enumerate())
    service = Service.open(folder, ServeConfig(), policy=Policy())
    service.base = Service.open(folder, ServeConfig(), policy=Policy())
    asyncio.run(once())
    left = [thread.name for thread in set(threading.enumerate()) - before]
    assert [name for name in left if name.startswith(("embed", "search", "rerank", "write"))] == []


def test_a_tokenizer_that_gives_up_does_not_end_the_service(folder):
    service = Service.open(folder, ServeConfig(), policy=Policy())

    class PanicException(BaseException):
        """As the library's own, which no handler of Exception catches."""

    async def tried():
        service.start()
        found = service.batcher._passed
        service.batcher._passed = lambda texts, kind: (_ for _ in ()).throw(PanicException("retry-limit-in-match over"))
        with pytest.raises(RuntimeError, match="retry-limit"):
            await service.batcher.embed(["a text"], "query")
        service.batcher._passed = found
        return len((await service.batcher.embed(["a text"], "query")).vectors)

    assert asyncio.run(tried()) == 1
    service.close()
