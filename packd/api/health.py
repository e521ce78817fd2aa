"""Is it alive, is it ready, is it well: for supervisors, at the root; and the daemon at a glance.

One set of checks behind all of it, the same that the watchdog goes by: see `packd.flow.health`.
"""

from __future__ import annotations

from fastapi import APIRouter, Request

from packd.api.answer import Answer
from packd.api.context import InContext
from packd.api.readiness import ready, unavailable
from packd.domain import health

router = APIRouter(tags=["health"])
root_router = APIRouter(tags=["health"])


@router.get("/status")
def show_status(context: InContext) -> Answer:
    """The daemon at a glance."""
    return Answer({"data": context.commands.status()})


@root_router.get("/livez")
def is_alive(context: InContext, request: Request) -> Answer:
    """It answers, and none of its parts is dead or stuck; 503 when only a restart would help."""
    dying = context.health.dying()
    if dying:
        raise unavailable(dying, to_strangers=_is_stranger(request))
    return Answer({"data": {"status": "alive"}})


@root_router.get("/readyz")
def is_ready(context: InContext, request: Request) -> Answer:
    """It can do its work; 503 with the reasons before the first comparison is done, while it stops, and when it can't.

    `warnings` say what is not as it should be and keeps nobody from working, such as a disabled endpoint. On TCP, where
    no token is asked for here, neither reasons nor warnings are told.
    """
    return Answer({"data": ready(context.health.ailments(), to_strangers=_is_stranger(request))})


@root_router.get("/healthz")
def is_well(context: InContext) -> Answer:
    """`ok`; or `degraded` or `failing` (then 503). `reasons` say what is wrong, also what is only a warning."""
    ailments = context.health.ailments()
    status = "ok" if health.is_well(ailments) else "degraded" if health.is_ready(ailments) else "failing"
    data = {"status": status, "reasons": [ailment.to_dict() for ailment in ailments]}
    return Answer({"data": data}, status_code=200 if status == "ok" else 503)


def _is_stranger(request: Request) -> bool:
    """On TCP; the socket knows who asks, and lets in whom it may."""
    return request.state.caller.uid is None
