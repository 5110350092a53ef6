"""`/map`: the documents on a plane."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from fastapi import APIRouter, Query, Response
from fastapi import Path as PathParameter
from pydantic import BaseModel

from nearfar.core.errors import BadInput
from nearfar.report import kept
from nearfar.serve.errors import NO_INDEX, SOON_S, Refused, documented
from nearfar.serve.map import DocumentMap
from nearfar.serve.service import Service

T = TypeVar("T")
NUMBERS: dict[int | str, Any] = {200: {"content": {"application/octet-stream": {}}}}
MOST_QUERIES = 500  # judged ones, which are embedded when the map is first asked for


class MapState(BaseModel):
    """How far the map is."""

    points: int
    documents: int
    """The points before are documents, those after are queries."""
    version: int
    """Of the places: 0 before there are any, then 1, and 2 by UMAP."""
    method: str
    final: bool
    fields: list[str]
    """Metadata that points can be coloured by."""
    findings: bool
    """Whether some points are examples of the doctor's findings."""


class Colours(BaseModel):
    """Which colour each point has."""

    names: list[str]
    codes: str
    """A byte for each point, in base64."""


class Ids(BaseModel):
    """Ids of the documents on the map."""

    ids: list[str]


class Point(BaseModel):
    """A point, of which a query has no id."""

    id: str
    text: str


def router(service: Service) -> APIRouter:
    """The paths of the map, which is begun when it is first asked for."""
    paths = APIRouter(tags=["map"])
    begin = asyncio.Lock()

    async def begun() -> DocumentMap:
        async with begin, asyncio.timeout(service.config.timeout_s):
            if service.map is None:
                service.map = await _begun(service)
            return service.map

    @paths.get("/map", response_model=MapState, responses=documented(404, 429))
    async def state() -> MapState:
        """How far the map is."""
        drawn = await begun()
        points, method = len(drawn.rows) + len(drawn.queries), drawn.layout.method if drawn.layout else ""
        return MapState(points=points, documents=len(drawn.rows), version=drawn.version, method=method,
                        final=drawn.is_final, fields=drawn.fields, findings=bool(drawn.named))  # fmt: skip

    @paths.get("/map/places", response_class=Response, responses=documented(404, 429) | NUMBERS)
    async def places() -> Response:
        """Places of the points: 32-bit floats, the lowest byte first; all x, then all y."""
        layout = (await begun()).layout
        if layout is None:
            raise Refused(503, "the map is not placed yet", retry_after_s=SOON_S)
        return Response(np.ascontiguousarray(layout.places.T, "<f4").tobytes(), media_type="application/octet-stream")

    @paths.get("/map/colours", response_model=Colours, responses=documented(404, 429))
    async def colours(by: Annotated[str, Query(max_length=1024)] = "kind") -> Colours:
        """The colours of the points by "kind", "cluster", "finding" or a field of the metadata."""
        drawn = await begun()
        names, codes = await _run(service, lambda: drawn.colours(by))
        return Colours(names=names, codes=base64.b64encode(codes.tobytes()).decode())

    @paths.get("/map/ids", response_model=Ids, responses=documented(404, 429))
    async def ids() -> Ids:
        """Ids of the documents on the map."""
        drawn = await begun()
        return Ids(ids=await _run(service, drawn.ids))

    @paths.get("/map/points/{number}", response_model=Point, responses=documented(404, 429))
    async def point(number: Annotated[int, PathParameter(ge=0, le=2**31)]) -> Point:
        """What a point is."""
        drawn = await begun()
        if number >= len(drawn.rows) + len(drawn.queries):
            raise Refused(404, "expected a point of the map, found none")
        id_, text = await _run(service, lambda: drawn.point(number))
        return Point(id=id_, text=text)

    return paths


async def _run(service: Service, work: Callable[[], T]) -> T:
    async with asyncio.timeout(service.config.timeout_s):
        return await service.search_pool.run(work)


async def _begun(service: Service) -> DocumentMap:
    index, judged = await service.index_now(), service.judgments
    if index is None:
        raise Refused(404, NO_INDEX)
    known = await service.search_pool.run(judged.queries) if judged else {}
    named = await service.search_pool.run(lambda: _named(service.place))
    texts = [*list(known.values())[:MOST_QUERIES], *(text for found in named.values() for text in found.queries)]
    queries = list(dict.fromkeys(texts))
    found = (
        (await service.batcher.embed(queries, "query")).vectors if queries else np.empty((0, service.encoder.dimension))
    )
    drawn = await service.search_pool.run(lambda: DocumentMap(index, queries, found.astype(np.float32), named))
    drawn.start()
    return drawn


def _named(place: Path) -> Mapping[str, kept.Named]:
    """What the doctor's findings name, if it has looked at what is served and its findings can be read."""
    with suppress(BadInput):
        return kept.named(place)
    return {}
