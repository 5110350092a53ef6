"""Texts ranked for a query: `/v1/rerank` and `/v2/rerank` of Cohere, `/rerank` of either, told by the fields."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence

import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray

from nearfar.core.unicode import check_encodable
from nearfar.serve.errors import documented
from nearfar.serve.schemas import (
    CohereError,
    CohereRerankRequest,
    CohereRerankResponse,
    CohereResult,
    RankedText,
    TeiError,
    TeiRerankRequest,
    TeiResult,
)
from nearfar.serve.service import Service


def router(service: Service) -> APIRouter:
    """The paths that rank texts: by the service's reranker, or by its model's similarity where it has none."""
    paths = APIRouter(tags=["rerank"])

    async def cohere(body: CohereRerankRequest) -> CohereRerankResponse:
        texts = [one if isinstance(one, str) else one.text for one in body.documents]
        scores = service.share(await _scores(service, body.query, texts))
        best = _best(scores)[: body.top_n]
        results = [
            CohereResult(index=row, relevance_score=float(scores[row]),
                         document=RankedText(text=texts[row]) if body.return_documents else None)
            for row in best
        ]  # fmt: skip
        return CohereRerankResponse(id=str(uuid.uuid4()), results=results, meta={"api_version": {"version": "2"}})

    @paths.post("/v1/rerank", response_model_exclude_none=True, responses=documented(429, of=CohereError))
    async def rerank_v1(body: CohereRerankRequest) -> CohereRerankResponse:
        """Rank documents, as Cohere does."""
        return await cohere(body)

    @paths.post("/v2/rerank", response_model_exclude_none=True, responses=documented(429, of=CohereError))
    async def rerank_v2(body: CohereRerankRequest) -> CohereRerankResponse:
        """Rank documents, as Cohere does."""
        return await cohere(body)

    @paths.post("/rerank", response_model_exclude_none=True, responses=documented(429, of=TeiError))
    async def rerank(body: TeiRerankRequest | CohereRerankRequest) -> list[TeiResult] | CohereRerankResponse:
        """Rank `texts`, as TEI does, or `documents`, as Cohere does."""
        if isinstance(body, CohereRerankRequest):
            return await cohere(body)
        raw = await _scores(service, body.query, body.texts)
        scores = raw if body.raw_scores else service.share(raw)
        return [TeiResult(index=row, score=float(scores[row]), text=body.texts[row] if body.return_text else None)
                for row in _best(scores)]  # fmt: skip

    return paths


async def _scores(service: Service, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
    service.check_texts(texts)
    check_encodable([query, *texts], "texts")
    async with asyncio.timeout(service.config.timeout_s):
        return await service.rerank(query, texts)


def _best(scores: NDArray[np.float32]) -> list[int]:
    best: list[int] = np.argsort(-scores, kind="stable").tolist()
    return best
