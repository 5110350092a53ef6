"""Texts to vectors: `/v1/embeddings` and `/v1/models` of OpenAI, `/embed` of TEI."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence

import numpy as np
import orjson
from fastapi import APIRouter, Response
from numpy.typing import NDArray

from nearfar.core.errors import BadInput
from nearfar.core.unicode import check_encodable
from nearfar.serve.cache import Given
from nearfar.serve.errors import Refused, documented
from nearfar.serve.schemas import (
    EmbeddingRequest,
    EmbeddingResponse,
    EmbedRequest,
    Model,
    Models,
    Role,
    TeiError,
)
from nearfar.serve.service import Service

Vectors = NDArray[np.float32]


def router(service: Service) -> APIRouter:
    """The paths that give vectors."""
    paths = APIRouter(tags=["embeddings"])

    @paths.post("/v1/embeddings", response_model=EmbeddingResponse, responses=documented(404, 429))
    async def embeddings(body: EmbeddingRequest) -> Response:
        """Embed texts, as OpenAI does."""
        service.check_model(body.model)
        given = _given(body)
        vectors, tokens = await _embedded(service, given, body.input_type or "document", "/v1/embeddings")
        vectors = _cut(service, vectors, body.dimensions)
        rows = _as_base64(vectors) if body.encoding_format == "base64" else vectors
        data = [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return _json({"object": "list", "data": data, "model": service.name, "usage": usage})

    @paths.get("/v1/models", responses=documented())
    async def models() -> Models:
        """The model that answers here."""
        encoder = service.encoder
        return Models(data=[Model(id=service.name, created=service.started, owned_by="nearfar",
                                  fingerprint=service.fingerprint, dimension=encoder.dimension,
                                  max_tokens=encoder.max_tokens)])  # fmt: skip

    @paths.post("/embed", response_model=list[list[float]], responses=documented(429, of=TeiError))
    async def embed(body: EmbedRequest) -> Response:
        """Embed texts, as TEI does."""
        given = [body.inputs] if isinstance(body.inputs, str) else body.inputs
        vectors, _ = await _embedded(service, given, _role(body.prompt_name), "/embed")
        vectors = _cut(service, vectors, body.dimensions)
        return _json(_unit(vectors) if body.normalize else vectors)

    return paths


async def _embedded(service: Service, given: Sequence[Given], role: Role, path: str) -> tuple[Vectors, int]:
    """Vectors of texts, or of token ids, and the tokens they have."""
    service.check_texts(given)
    service.metrics.texts.labels(path).inc(len(given))
    check_encodable((one for one in given if isinstance(one, str)), "input")
    async with asyncio.timeout(service.config.timeout_s):
        found = await service.batcher.embed(given, role)
    return found.vectors, int(found.tokens.sum())


def _given(body: EmbeddingRequest) -> list[Given]:
    """Texts, or rows of token ids, one by one."""
    found = body.input
    if isinstance(found, str):
        return [found]
    if isinstance(found[0], int):
        return [tuple(found)]
    return [row if isinstance(row, str) else tuple(row) for row in found]


def _role(prompt_name: str | None) -> Role:
    if prompt_name in {None, "document", "passage"}:
        return "document"
    if prompt_name == "query":
        return "query"
    raise BadInput.at("prompt_name", expected="query or document", found=repr(prompt_name)[:100], do="leave it out")


def _cut(service: Service, vectors: Vectors, dimensions: int | None) -> Vectors:
    """The first so many dimensions, of length 1 again where the model's are."""
    if dimensions is None or dimensions == vectors.shape[1]:
        return vectors
    if dimensions > vectors.shape[1]:
        raise Refused(422, f"dimensions: expected at most {vectors.shape[1]}, found {dimensions}")
    cut = vectors[:, :dimensions]
    return _unit(cut) if service.encoder.similarity == "cosine" else np.ascontiguousarray(cut)


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit


def _as_base64(vectors: Vectors) -> list[str]:
    return [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in vectors]


def _json(value: object) -> Response:
    return Response(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")
