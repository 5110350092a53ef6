"""The web page: the files that were built of `page/`, and what it asks of the service first."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Header, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from nearfar.core.fingerprint import digest
from nearfar.serve.errors import Refused, documented
from nearfar.serve.service import Service

BUILT = Path(__file__).parent / "page"
ENTRY = "index.html"
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}


class About(BaseModel):
    """What the page can show."""

    model: str
    documents: int | None
    """None where there is no index."""
    base: str | None
    """The second service, whose results stand beside."""
    judgments: bool
    """Whether results can be marked."""
    reranker: bool
    runs: bool
    """Whether runs are shown."""


def router(service: Service) -> APIRouter:
    """The page and its files, which need no key: they are the same for all."""
    paths = APIRouter()
    files = {str(path.relative_to(BUILT)): path.read_bytes() for path in BUILT.rglob("*") if path.suffix in TYPES}
    tags = {name: f'"{digest([content])}"' for name, content in files.items()}

    def served(name: str, known: str) -> Response:
        if name not in files:
            raise Refused(404, "expected a file of the page, found none")
        headers = {"etag": tags[name], "cache-control": "no-cache"}
        if tags[name] in known:
            return Response(status_code=304, headers=headers)
        return Response(files[name], headers=headers | {"content-type": f"{TYPES[Path(name).suffix]}; charset=utf-8"})

    @paths.get("/", include_in_schema=False)
    async def entry(if_none_match: Annotated[str, Header()] = "") -> Response:
        return served(ENTRY, if_none_match)

    @paths.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return RedirectResponse("/#/interface")

    @paths.get("/assets/{name}", include_in_schema=False)
    async def asset(name: str, if_none_match: Annotated[str, Header()] = "") -> Response:
        return served(f"assets/{name}", if_none_match)

    @paths.get("/about", response_model=About, responses=documented(), tags=["page"])
    async def about() -> About:
        """What there is to be shown."""
        base, opened = service.base, await service.index_now()
        documents = await service.search_pool.run(lambda: opened.generation.count) if opened else None
        return About(model=service.name, documents=documents, base=base.name if base else None,
                     judgments=service.judgments is not None, reranker=service.reranker is not None,
                     runs=service.runs is not None)  # fmt: skip

    return paths
