"""The verb `serve`."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from nearfar.cli.options import AsJson
from nearfar.cli.show import json_line
from nearfar.core.errors import MissingExtra


def serve(
    path: Annotated[Path, typer.Argument(help="A run, an index, or a model folder.")],
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen at; 0: a free one.")] = 8080,
    host: Annotated[
        str, typer.Option(help="Address; another than this machine's own needs NEARFAR_API_KEY.")
    ] = "127.0.0.1",
    model: Annotated[
        str | None, typer.Option(help="Model of the questions, if it does not lie beside the index.")
    ] = None,
    reranker: Annotated[
        str | None, typer.Option(help="A cross-encoder for /rerank, and for searches that ask for it.")
    ] = None,
    base: Annotated[
        Path | None, typer.Option(help="A second run or index, whose results stand beside on the page.")
    ] = None,
    base_model: Annotated[
        str | None, typer.Option(help="Model of the base's questions, if it does not lie beside its index.")
    ] = None,
    judgments: Annotated[
        Path | None, typer.Option(help="Folder for results marked good or bad, which fit and eval read.")
    ] = None,
    runs: Annotated[
        Path | None, typer.Option(help="Folder whose runs the page shows; left out, that of the run that is served.")
    ] = None,
    allow_writes: Annotated[
        bool, typer.Option("--allow-writes", help="Let requests change documents of the index.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Serve a model and its index over HTTP, by the interfaces of OpenAI, Cohere and TEI.

    Examples: nearfar serve run
    NEARFAR_API_KEY=$KEY nearfar serve run --host 0.0.0.0 --port 80
    """
    # Read by OpenMP when torch is imported: threads that spin while they wait take the cores from those that search.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        from nearfar.serve.run import bound, key_of, run, url_of
    except ModuleNotFoundError:
        raise MissingExtra.of("a service", "serve") from None
    from nearfar.serve.config import ServeConfig
    from nearfar.serve.judgments import Judgments
    from nearfar.serve.runs import is_run
    from nearfar.serve.service import Service

    config = ServeConfig(host=host, port=port, allow_writes=allow_writes)
    key = key_of(config)
    with bound(config) as listening:
        service = Service.open(path, config, model=model, reranker=reranker)
        service.base = Service.open(base, ServeConfig(), model=base_model, policy=service.policy) if base else None
        service.runs = runs or (path.resolve().parent if is_run(path) else None)
        service.judgments = Judgments.open(judgments) if judgments else None
        if allow_writes and service.index is not None:
            from nearfar.pipeline.served import ServedIndex

            own = partial(service.batcher.embed_now, role="document")
            service.writable = ServedIndex(service.index.path, service.encoder, own)
        policy = service.policy
        typer.echo(f"computing on {policy.device} in {policy.precision} ({policy.reason})", err=True)
        told = {"name": service.name, "url": url_of(listening), "device": policy.device, "precision": policy.precision}
        typer.echo(json_line(told) if as_json else f"'{service.name}' is served at {url_of(listening)}; Ctrl-C ends it")
        run(service, listening, key)
