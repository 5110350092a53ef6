"""The index: `/search`, `/similar/{id}`, and `/documents` where writing is allowed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

import numpy as np
import orjson
from fastapi import APIRouter, Path, Query, Response
from starlette.convertors import Convertor, register_url_convertor

from nearfar.core.unicode import check_encodable
from nearfar.encoder.prompts import check_task
from nearfar.search.hits import Hit, Hits
from nearfar.search.index import Index
from nearfar.search.ranking import Asked
from nearfar.serve.errors import NO_INDEX, Refused, documented
from nearfar.serve.schemas import (
    LONGEST_FILTER,
    LONGEST_ID,
    MOST_RESULTS,
    Changed,
    DeleteRequest,
    SearchRequest,
    SearchResponse,
    UpsertRequest,
)
from nearfar.serve.service import RERANK_DEPTH, Service, Writable


class EveryText(Convertor[str]):
    """Every text, also one with slashes and line breaks."""

    regex = r"(?s:.+)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


def router(service: Service) -> APIRouter:
    """The paths that find documents."""
    paths = _paths()

    @paths.post("/search", response_model=SearchResponse, responses=documented(404, 429))
    async def search(body: SearchRequest) -> Response:
        """Find the documents that answer a question."""
        start = time.perf_counter()
        async with asyncio.timeout(service.config.timeout_s):
            index = await _index(service)
            asked = await _asked(service, index, body)
            hits = await _found(service, index, asked, body)
            lost, id_ = None, body.why_not
            if id_ is not None:
                lost = await service.search_pool.run(
                    lambda: index.why_not(asked, id_, body.k, filter=body.filter, mode=body.mode)
                )
            if body.rerank:
                hits = Hits((await _reranked(service, body.query, hits))[: body.k])
        return _json({"hits": list(map(asdict, hits)), "why_not": asdict(lost) if lost else None,
                      "took_ms": 1000 * (time.perf_counter() - start)})  # fmt: skip

    @paths.get("/similar/{id:any}", response_model=SearchResponse, responses=documented(404, 429))
    async def similar(
        id: Annotated[str, Path(min_length=1, max_length=LONGEST_ID)],  # noqa: A002
        k: Annotated[int, Query(ge=1, le=MOST_RESULTS)] = 10,
        filter: Annotated[str, Query(max_length=LONGEST_FILTER)] = "",  # noqa: A002
    ) -> Response:
        """Find the documents nearest to one of the index."""
        start = time.perf_counter()
        index = await _index(service)
        async with asyncio.timeout(service.config.timeout_s):
            hits = await service.search_pool.run(lambda: index.similar(id, k, filter=filter))
        return _json({"hits": list(map(asdict, hits)), "why_not": None,
                      "took_ms": 1000 * (time.perf_counter() - start)})  # fmt: skip

    @paths.post("/documents", responses=documented(403, 404, 429))
    async def upsert(body: UpsertRequest) -> Changed:
        """Add documents to the index, or put them in the place of those with their ids."""
        service.check_texts(body.documents)
        writable = _writable(service)
        documents = [one.model_dump() for one in body.documents]
        return await _changed(service, lambda: writable.upsert(documents))

    @paths.delete("/documents", responses=documented(403, 404, 429))
    async def delete(body: DeleteRequest) -> Changed:
        """Delete documents of the index; ids that are not there are no error."""
        service.check_texts(body.ids)
        writable = _writable(service)
        return await _changed(service, lambda: writable.delete(body.ids))

    return paths


def _paths() -> APIRouter:
    register_url_convertor("any", EveryText())
    return APIRouter(tags=["search"])


def _writable(service: Service) -> Writable:
    if service.index is None:
        raise Refused(404, NO_INDEX)
    if service.writable is None:
        raise Refused(403, "expected a service that may be written to; serve with --allow-writes")
    return service.writable


async def _changed(service: Service, work: Callable[[], Any]) -> Changed:
    """What became of the documents; a change that was begun is ended, whoever waits for it."""
    done = await asyncio.shield(service.write_pool.run(work))
    return Changed(documents=done.documents, added=done.added, replaced=done.replaced, deleted=done.deleted)


async def _index(service: Service) -> Index:
    index = await service.index_now()
    if index is None:
        raise Refused(404, NO_INDEX)
    return index


async def _asked(service: Service, index: Index, body: SearchRequest) -> Asked:
    """The question as the mode takes it."""
    check_encodable([body.query, body.filter, body.task], "query")
    if not body.query.strip():
        raise Refused(422, "query: expected words, found none")
    check_task(service.encoder.model, body.task)
    if body.mode == "lexical":
        return index.with_vectors([body.query], np.empty((1, 0), np.float32))
    found = await service.batcher.embed([body.query], "query", body.task)
    return index.with_vectors([body.query], found.vectors)


async def _found(service: Service, index: Index, asked: Asked, body: SearchRequest) -> Hits:
    """What is found before a reranker reads it; what needs no explanation together with other requests."""
    depth = max(body.k, RERANK_DEPTH) if body.rerank else body.k
    if not body.explain:
        return await service.searches.found(index, asked, depth, body.filter, body.mode)
    return await service.search_pool.run(
        lambda: index.found(asked, depth, filter=body.filter, mode=body.mode, explain=True)
    )


async def _reranked(service: Service, query: str, hits: list[Hit]) -> list[Hit]:
    if service.reranker is None:
        raise Refused(404, "rerank: expected a service with a reranker, found none; serve with --reranker")
    if not hits:
        return hits
    scores = await service.rerank(query, [hit.text for hit in hits])
    return [Hit(**{**vars(hits[row]), "score": float(scores[row])}) for row in np.argsort(-scores, kind="stable")]


def _json(value: dict[str, Any]) -> Response:
    return Response(orjson.dumps(value, default=str), media_type="application/json")
