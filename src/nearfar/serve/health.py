"""Whether the service lives, is ready, and how much it does."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from nearfar.serve.errors import SOON_S, Refused, documented
from nearfar.serve.service import Service


def router(service: Service) -> APIRouter:
    """The paths that tell of the service itself; they need no key but for the counts."""
    paths = APIRouter(tags=["health"])

    @paths.get("/livez", response_class=PlainTextResponse)
    @paths.get("/health", response_class=PlainTextResponse)
    async def livez() -> str:
        """Whether the process answers."""
        return "ok"

    @paths.get("/readyz", response_class=PlainTextResponse, responses=documented())
    async def readyz() -> str:
        """Whether requests are taken: not before the model is warm, and not after a signal to end."""
        if not service.ready:
            raise Refused(503, "not ready", retry_after_s=SOON_S)
        return "ready"

    @paths.get("/metrics", response_class=PlainTextResponse, responses=documented())
    async def metrics() -> Response:
        """Counts for Prometheus."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return paths
