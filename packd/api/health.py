"""Is it alive, is it ready, is it well: for supervisors, at the root; and the daemon at a glance."""

from __future__ import annotations

from fastapi import APIRouter

from packd.api.answer import Answer
from packd.api.context import InContext
from packd.domain.failures import Code, Failure

router = APIRouter(tags=["health"])
root_router = APIRouter(tags=["health"])


@router.get("/status")
def show_status(context: InContext) -> Answer:
    """The daemon at a glance."""
    return Answer({"data": context.commands.status()})


@root_router.get("/livez")
async def is_alive() -> Answer:
    """It answers."""
    return Answer({"data": {"status": "alive"}})


@root_router.get("/readyz")
async def is_ready(context: InContext) -> Answer:
    """The folder was compared with the registry since the start; 503 before that and while it stops."""
    if context.tail.closing:
        raise Failure(Code.UNAVAILABLE, "packd is stopping")
    if not context.is_ready():
        raise Failure(Code.UNAVAILABLE, "packd is comparing the packs directory with its registry; ask again soon")
    return Answer({"data": {"status": "ready"}})


@root_router.get("/healthz")
def is_well(context: InContext) -> Answer:
    """`ok`, or `degraded` with what is wrong (then 503)."""
    troubles = list(context.commands.status().get("watch", {}).get("troubles", ()))
    data = {"status": "degraded" if troubles else "ok", "troubles": troubles}
    return Answer({"data": data}, status_code=503 if troubles else 200)
