"""Errors as answers: which status, and in the shape that the client of each path reads."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from nearfar.core.errors import NearfarError
from nearfar.search.hits import UnknownDocument
from nearfar.serve.batcher import Overloaded
from nearfar.serve.schemas import CohereError, OpenAIError, TeiError

log = logging.getLogger(__name__)

COHERE = frozenset({"/v1/rerank", "/v2/rerank"})
TEI = frozenset({"/embed", "/rerank"})
LONGEST = 600  # characters of a message: it may quote what was sent
NO_INDEX = "expected a service with an index, found a model alone; serve a run or an index"
SOON_S = 1.0  # to wait after an answer that took too long
KINDS: Mapping[int, tuple[str, str]] = {  # OpenAI's and TEI's words for a status
    401: ("authentication_error", "Unauthorized"),
    403: ("permission_error", "Forbidden"),
    404: ("not_found_error", "NotFound"),
    413: ("invalid_request_error", "Validation"),
    429: ("rate_limit_error", "Overloaded"),
    500: ("server_error", "Backend"),
    503: ("server_error", "Unhealthy"),
}


class Refused(Exception):
    """A request that is answered with this status and message."""

    def __init__(self, status: int, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after_s = status, retry_after_s


def answer(path: str, status: int, message: str, retry_after_s: float | None = None) -> JSONResponse:
    """The error as the client of this path reads it."""
    openai, tei = KINDS.get(status, ("invalid_request_error", "Validation"))
    message = message[:LONGEST]
    headers = {"Retry-After": str(max(1, math.ceil(retry_after_s)))} if retry_after_s is not None else None
    if path in COHERE:
        return JSONResponse(CohereError(message=message).model_dump(), status, headers)
    if path in TEI:
        return JSONResponse(TeiError(error=message, error_type=tei).model_dump(), status, headers)
    inner = OpenAIError.Inner(message=message, type=openai, param=None, code=None)
    return JSONResponse(OpenAIError(error=inner).model_dump(), status, headers)


def documented(*statuses: int, of: type[OpenAIError | CohereError | TeiError] = OpenAIError) -> dict[int | str, Any]:
    """The errors of a path in its schema."""
    said = {
        401: "The key is missing or wrong.",
        403: "That is not open here.",
        404: "There is none.",
        413: "The body or the batch is too large.",
        422: "The body is not as it should be.",
        429: "Too much waits already; `Retry-After` says how long.",
        503: "Not ready, or it took too long; `Retry-After` says how long.",
    }
    every = {400, 401, 413, 422, 503, *statuses}
    found: dict[int | str, Any] = {
        status: {"model": of, "description": said.get(status, "The request is not as it should be.")}
        for status in sorted(every)
    }
    found[400]["content"] = {"text/plain": {}}  # of what is no HTTP, such as a path without an end
    return found


def install(app: FastAPI) -> None:
    """Have every error of the app answered here."""

    async def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Refused)  # noqa: S101 -- for the checker of types
        return answer(request.url.path, error.status, str(error), error.retry_after_s)

    async def overloaded(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Overloaded)  # noqa: S101
        return answer(request.url.path, 429, f"{error}; try again later", error.retry_after_s)

    async def late(request: Request, _: Exception) -> JSONResponse:
        return answer(request.url.path, 503, "it took too long; try again later", SOON_S)

    async def bad_input(request: Request, error: Exception) -> JSONResponse:
        return answer(request.url.path, 404 if isinstance(error, UnknownDocument) else 422, str(error))

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part != "body")
        return answer(request.url.path, 422, f"{place or 'body'}: {first['msg']}")

    async def of_http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)  # noqa: S101
        said = answer(request.url.path, error.status_code, str(error.detail))
        said.headers.update(error.headers or {})
        if error.status_code == 405:  # the header names the methods of the first route of the path alone
            methods = request.app.openapi()["paths"].get(request.url.path, {})
            said.headers["allow"] = ", ".join(sorted(map(str.upper, methods))) or said.headers["allow"]
        return said

    async def unforeseen(request: Request, error: Exception) -> JSONResponse:
        log.error("unforeseen error at %r", request.url.path, exc_info=error)
        return answer(request.url.path, 500, "an error inside the service, which its log tells")

    for kind, handler in (
        (Refused, refused), (Overloaded, overloaded), (TimeoutError, late), (NearfarError, bad_input),
        (RequestValidationError, invalid), (HTTPException, of_http), (Exception, unforeseen),
    ):  # fmt: skip
        app.add_exception_handler(kind, handler)
