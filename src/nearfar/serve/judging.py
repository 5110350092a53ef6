"""`/judgments`: marks on results, where the service was started with a folder for them."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, StringConstraints

from nearfar.core.unicode import check_encodable
from nearfar.serve.errors import NO_INDEX, Refused, documented
from nearfar.serve.judgments import Judgments
from nearfar.serve.schemas import Body, Id
from nearfar.serve.service import Service

LONGEST_QUERY = 10_000  # characters
Asked = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_QUERY)]


class Judgment(Body):
    """`POST /judgments`."""

    query: Asked
    id: Id
    good: bool | None
    """Whether the document answers the query; null takes an earlier mark away."""


class Marked(BaseModel):
    """How many marks there are."""

    judgments: int


class MarksOfQuery(BaseModel):
    """The marks of a query by the ids of the documents."""

    marks: dict[str, bool]


def router(service: Service) -> APIRouter:
    """The paths that take and give marks."""
    paths = APIRouter(tags=["judgments"])

    @paths.post("/judgments", response_model=Marked, responses=documented(403, 404, 429))
    async def mark(body: Judgment) -> Marked:
        """Mark a document as good or bad for a query; the last mark of the two counts."""
        kept, opened = _kept(service), await service.index_now()
        if opened is None:
            raise Refused(404, NO_INDEX)
        check_encodable([body.query, body.id], "query or id")
        async with asyncio.timeout(service.config.timeout_s):
            count = await service.write_pool.run(lambda: kept.mark(opened, body.query, body.id, good=body.good))
        return Marked(judgments=count)

    @paths.get("/judgments", response_model=MarksOfQuery, responses=documented(403, 429))
    async def marks(query: Annotated[str, Query(min_length=1, max_length=LONGEST_QUERY)]) -> MarksOfQuery:
        """The marks of a query."""
        kept = _kept(service)
        check_encodable([query], "query")
        async with asyncio.timeout(service.config.timeout_s):
            return MarksOfQuery(marks=await service.search_pool.run(lambda: kept.of(query)))

    return paths


def _kept(service: Service) -> Judgments:
    if service.judgments is None:
        raise Refused(403, "expected a service that takes judgments, found none; serve with --judgments FOLDER")
    return service.judgments
