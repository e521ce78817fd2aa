"""The whole of this door, put together."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, FastAPI

from packd import __version__
from packd.api import (
    config,
    event_types,
    events,
    health,
    history,
    housekeeping,
    indexes,
    installation,
    jobs,
    metrics,
    packs,
    problems,
    registration,
    runs,
    tokens,
    webhooks,
)
from packd.api.audit import Audit
from packd.api.context import Context
from packd.api.documentation import page
from packd.api.documentation.openapi import openapi
from packd.api.file_names import FileNames
from packd.api.guard import Guard
from packd.api.methods import Heads
from packd.api.repeats import Repeats

PREFIX: Final = "/api/v1"
# `history` first: its /packs/tests must not be taken for a pack that is called so.
_ROOMS: Final = (
    history,
    registration,
    installation,
    packs,
    runs,
    events,
    event_types,
    webhooks,
    indexes,
    jobs,
    tokens,
    housekeeping,
    config,
    health,
)


def create_app(context: Context) -> FastAPI:
    """The application over these parts of the daemon."""
    app = FastAPI(title="packd", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.context = context
    problems.install(app)
    app.add_middleware(Heads)
    app.add_middleware(Repeats, once=context.once)  # the last one added is asked first
    app.add_middleware(Guard, access=context.access)
    app.add_middleware(Audit, prefix=PREFIX, routes=[route for room in _ROOMS for route in room.router.routes])
    app.add_middleware(FileNames)
    versioned = APIRouter(prefix=PREFIX)
    for room in _ROOMS:
        versioned.include_router(room.router)
    app.include_router(versioned)
    app.include_router(health.root_router)
    app.include_router(metrics.root_router)
    app.include_router(page.router)
    app.openapi = lambda: openapi(app)  # type: ignore[method-assign]
    return app
