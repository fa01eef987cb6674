"""The application: routes, what is told when something is refused, and the service behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from recsys.errors import ArtifactError, ImageError, StylerecError, UnknownIdError
from shop import api, pages
from shop.batching import BusyError
from shop.event_log import LogFullError
from shop.gate import Gate
from shop.schemas import Health
from shop.service import Opener, Service
from shop.settings import ShopConfig
from shop.snapshot import open_snapshot

STATUS: tuple[tuple[type[StylerecError], int], ...] = (
    (UnknownIdError, 404),
    (ImageError, 404),
    (BusyError, 503),
    (LogFullError, 503),
    (ArtifactError, 503),
)
"""What each refusal is in HTTP; every other one is 422."""
ABOUT = """
Recommendations in the look that suits each customer, and the events that come of it.

Send `page_id` and `propensity` of what was shown back with impressions and clicks: then `stylerec analyze`,
`stylerec ope` and `partial_fit` can read what was logged.
"""


def create_app(config: ShopConfig, *, opener: Opener = open_snapshot) -> FastAPI:
    """The application over a published run; the service lives as long as the application.

    Raises:
        ArtifactError: There is no finished run, or no such model.
        ConfigError: Another service writes into the folder of events.
    """
    service = Service(config, opener=opener)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            service.close()

    app = FastAPI(
        title="stylerec shop",
        description=ABOUT,
        version=version("stylerec"),
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = service
    app.add_middleware(Gate, config=config, measures=service.measures)
    app.include_router(api.router)
    app.include_router(pages.router)
    _add_health(app, service)
    app.add_exception_handler(StylerecError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    return app


def _add_health(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", response_model=Health, tags=["health"])
    async def healthz() -> dict[str, Any]:
        """Whether the process lives."""
        return {"status": "ok"}

    @app.get("/readyz", response_model=Health, tags=["health"])
    async def readyz() -> dict[str, Any]:
        """What is served; ``reload_error`` says why a newly published run is not."""
        snapshot = service.published.snapshot
        return {
            "status": "ready",
            "version": snapshot.version,
            "model": snapshot.name,
            "items": len(snapshot.fitted.items),
            "users": len(snapshot.fitted.users),
            "reload_error": service.reload_error or None,
        }

    @app.get("/metrics", tags=["health"], response_class=Response)
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(service.measures.text(), media_type="text/plain; version=0.0.4")


async def _refused(request: Request, error: Exception) -> Response:
    status = next((code for kind, code in STATUS if isinstance(error, kind)), 422)
    return _problem(request, status, str(error))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # What was sent is not repeated: it may be huge, and no text.
    told = [f"{'.'.join(map(_plain, e['loc']))}: {_plain(e['msg'])}" for e in error.errors()[:5]]
    return _problem(request, 422, "; ".join(told))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = "there is no such page" if error.status_code == 404 else str(error.detail)
    return _problem(request, error.status_code, words, error.headers)


def _problem(request: Request, status: int, words: str, headers: Any = None) -> Response:
    more = dict(headers or {}) | ({"retry-after": "1"} if status == 503 else {})
    if pages.wants_page(request):
        return pages.problem(request, status, words, more)
    return JSONResponse({"detail": words}, status, more)


def _plain(value: object) -> str:
    return str(value)[:200].encode("utf-8", "replace").decode()
