"""The index as tools of a language model, by the Model Context Protocol: `search` and `fetch`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import anyio.to_thread
import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from nearfar.core.errors import NearfarError
from nearfar.search.config import Mode
from nearfar.search.hits import Hit
from nearfar.search.index import Index
from nearfar.serve.config import ServeConfig
from nearfar.serve.connection import Connection
from nearfar.serve.guard import Guard
from nearfar.serve.run import bound, key_of, url_of

T = TypeVar("T")

RESULTS = 10
EXCERPT = 300  # characters of a text in a list of results


def server_of(index: Index, mode: Mode) -> MCPServer:
    """A server whose tools answer from an index.

    Args:
        mode: how it is searched.
    """
    use = "Search a collection of documents, then fetch those that matter."
    server: MCPServer = MCPServer("nearfar", instructions=use, log_level="ERROR")

    @server.tool()
    async def search(query: str) -> dict[str, list[dict[str, Any]]]:
        """Find the documents that answer a question; `fetch` gives each whole.

        Args:
            query: The question, in the words of the documents.
        """
        hits = await _told(lambda: index.search(query, RESULTS, mode=mode))
        return {"results": [_listed(hit) for hit in hits]}

    @server.tool()
    async def fetch(id: str) -> dict[str, Any]:  # noqa: A002
        """Read one document whole.

        Args:
            id: As `search` gave it.
        """
        hit = await _told(lambda: index.document(id))
        metadata = {name: str(value) for name, value in hit.metadata.items() if name != "title"}
        return {"id": hit.id, "title": _title(hit), "text": hit.text, "url": _url(hit), "metadata": metadata}

    return server


def run_http(server: MCPServer, config: ServeConfig) -> None:
    """Answer at `/mcp` until a signal to end.

    Raises:
        BadInput: the address is taken, or needs a key.
    """
    key = key_of(config)
    with bound(config) as listening:
        app = server.streamable_http_app(json_response=True, stateless_http=True, host=config.host)
        guarded = Guard(app, metrics=None, key=key, loopback=config.is_loopback, paths=frozenset(),
                        most_bytes=config.most_bytes)  # fmt: skip
        print(f"nearfar answers at {url_of(listening)}/mcp; Ctrl-C ends it", file=sys.stderr)  # noqa: T201
        uvicorn.Server(
            uvicorn.Config(guarded, http=Connection, ws="none", log_level="warning", server_header=False)
        ).run(sockets=[listening])


async def _told(work: Callable[[], T]) -> T:
    try:
        return await anyio.to_thread.run_sync(work)
    except NearfarError as error:
        raise ToolError(str(error)) from None


def _listed(hit: Hit) -> dict[str, Any]:
    return {"id": hit.id, "title": _title(hit), "text": hit.text[:EXCERPT], "url": _url(hit), "score": hit.score}


def _title(hit: Hit) -> str:
    """The title, or what the text begins with."""
    return str(hit.metadata.get("title") or "") or " ".join(hit.text.split()[:8])


def _url(hit: Hit) -> str:
    """Where the document is, as far as its metadata say."""
    return str(hit.metadata.get("url") or f"nearfar://{hit.id}")
