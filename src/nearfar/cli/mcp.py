"""The verb `mcp`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nearfar.core.errors import MissingExtra
from nearfar.search.config import Mode


def mcp(
    path: Annotated[Path, typer.Argument(help="A run folder, or an index folder.")],
    model: Annotated[str | None, typer.Option(help="Model of the questions, if not the run's own.")] = None,
    mode: Annotated[Mode, typer.Option(help="By vectors, by words (BM25), or by both.")] = "hybrid",
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Answer over HTTP at this port, in the place of standard input."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address; another than this machine's own needs NEARFAR_API_KEY.")
    ] = "127.0.0.1",
) -> None:
    """Let a language model search an index, by the Model Context Protocol: the tools search and fetch.

    Examples: nearfar mcp run
    nearfar mcp run --port 8081
    """
    try:
        from nearfar.serve.mcp import run_http, server_of
    except ModuleNotFoundError:
        raise MissingExtra.of("a server of the Model Context Protocol", "mcp") from None
    from nearfar.search.index import Index
    from nearfar.serve.config import ServeConfig

    index = Index.open(path, model)
    _ = index.fingerprint  # loads the model, before the first question
    server = server_of(index, mode)
    if port is None:
        return server.run("stdio")
    return run_http(server, ServeConfig(host=host, port=port))
