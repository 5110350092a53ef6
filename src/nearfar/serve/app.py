"""The app: every path, and what stands before them."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.middleware.body_limit import RequestBodyLimitMiddleware

from nearfar.serve import embeddings, health, judging, mapping, page, reranking, running, searching
from nearfar.serve.errors import install
from nearfar.serve.guard import Guard
from nearfar.serve.service import Service

ROUTERS = (
    embeddings.router,
    reranking.router,
    searching.router,
    judging.router,
    running.router,
    mapping.router,
    health.router,
    page.router,
)


def app_of(service: Service, key: str | None = None) -> FastAPI:
    """The app of a service, which starts and ends with it.

    Args:
        key: that requests must carry; None for none.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            service.start()
            await service.warm()
            gc.collect()
            gc.freeze()  # else the collector looks through the libraries and the index, half a second at a time
            yield
        finally:
            service.close()
            gc.unfreeze()

    app = FastAPI(
        title="nearfar", version=version("nearfar"), lifespan=lifespan, docs_url=None, redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )  # fmt: skip
    for router in ROUTERS:
        app.include_router(router(service))
    if service.base is not None:
        app.include_router(searching.router(service.base), prefix="/base")
    install(app)
    paths = frozenset(app.openapi()["paths"])
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=service.config.most_bytes)  # as the body comes
    app.add_middleware(Guard, metrics=service.metrics, key=key, loopback=service.config.is_loopback, paths=paths,
                       most_bytes=service.config.most_bytes, ending=lambda: not service.ready)  # fmt: skip
    return app
