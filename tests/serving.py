"""A service behind a port of this machine, for programs that call it."""

import threading
import time
from contextlib import contextmanager

import uvicorn

from nearfar.serve.app import app_of
from nearfar.serve.config import ServeConfig
from nearfar.serve.connection import Connection
from nearfar.serve.run import bound, url_of


@contextmanager
def serving(service):
    """Its address, for as long as it answers."""
    listening = bound(ServeConfig(port=0))
    server = uvicorn.Server(uvicorn.Config(app_of(service), log_level="warning", http=Connection, ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    for _ in range(600):
        if server.started:
            break
        time.sleep(0.05)
    yield url_of(listening)
    server.should_exit = True
    thread.join()
