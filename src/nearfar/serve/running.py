"""`/runs`: the runs of a folder, and the pages that lie beside them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fastapi import APIRouter, Response
from pydantic import BaseModel

from nearfar.serve.comparing import RunsCompared, compared
from nearfar.serve.errors import Refused, documented
from nearfar.serve.runs import PAGES, RunDetail, RunSummary, detail, runs_in, summary
from nearfar.serve.service import Service

# Its scripts run, but as of no origin: they can ask this service, or any other, for nothing.
SANDBOX = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Runs(BaseModel):
    """The runs by name."""

    runs: list[RunSummary]


def router(service: Service) -> APIRouter:
    """The paths that show runs."""
    paths = APIRouter(tags=["runs"])

    @paths.get("/runs", response_model=Runs, responses=documented(403, 429))
    async def runs() -> Runs:
        """The runs of the folder that is shown."""
        folder = _folder(service)
        async with asyncio.timeout(service.config.timeout_s):
            return await service.search_pool.run(lambda: Runs(runs=list(map(summary, runs_in(folder).values()))))

    @paths.get("/runs/{name}", response_model=RunDetail, responses=documented(403, 404, 429))
    async def run(name: str) -> RunDetail:
        """A run with its curves, which grow while it trains."""
        folder = _folder(service)
        async with asyncio.timeout(service.config.timeout_s):
            return await service.search_pool.run(lambda: detail(_run(folder, name)))

    @paths.get("/runs/{name}/against/{other}", response_model=RunsCompared, responses=documented(403, 404, 422, 429))
    async def against(name: str, other: str) -> RunsCompared:
        """The model of a run against that of another, query by query, where both kept the scores of the same ones."""
        folder = _folder(service)
        async with asyncio.timeout(service.config.timeout_s):
            return await service.search_pool.run(lambda: compared(_run(folder, name), _run(folder, other)))

    @paths.get("/runs/{name}/{page}", include_in_schema=False)
    async def beside(name: str, page: str) -> Response:
        folder = _folder(service)
        if page not in PAGES:
            raise Refused(404, "expected a page of a run, found none")
        async with asyncio.timeout(service.config.timeout_s):
            content = await service.search_pool.run(lambda: _read(_run(folder, name) / page))
        headers = {"content-type": "text/html; charset=utf-8", "content-security-policy": SANDBOX}
        return Response(content, headers=headers)

    return paths


def _folder(service: Service) -> Path:
    if service.runs is None:
        raise Refused(403, "expected a service that shows runs, found none; serve with --runs FOLDER")
    return service.runs


def _run(folder: Path, name: str) -> Path:
    found = runs_in(folder)
    if name not in found:
        raise Refused(404, "expected a run of the folder, found none; GET /runs lists them")
    return found[name]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise Refused(404, "expected a page of a run, found none") from None
