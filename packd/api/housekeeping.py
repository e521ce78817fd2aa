"""Keeping house: what a sweep would remove and why, sweeping now, and reading everything in use whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from packd.api.answer import Answer
from packd.domain.failures import Code, Failure

router = APIRouter(tags=["housekeeping"])


@dataclass(frozen=True, kw_only=True)
class Housekeeping:
    """What this door needs of it."""

    plan: Callable[[], Any]  # a sweep's plan, a dataclass
    sweep: Callable[[], dict[str, int]]  # how much of what was removed
    verify: Callable[[], list[Any]]  # the drifts that were found, dataclasses


async def _housekeeping(request: Request) -> Housekeeping:
    found: Housekeeping | None = request.app.state.context.housekeeping
    if found is None:
        raise Failure(Code.UNAVAILABLE, "this packd keeps no house")
    return found


InHouse = Annotated[Housekeeping, Depends(_housekeeping)]


@router.get("/sweep")
def plan_sweep(house: InHouse) -> Answer:
    """Every revision with whether its content stays, and why; nothing is removed."""
    return Answer({"data": asdict(house.plan())})


@router.post("/sweep")
def sweep_now(house: InHouse) -> Answer:
    """Remove what the policy does not keep. Waits until it is done."""
    swept = house.sweep()
    return Answer({"data": swept, "message": "Swept"})


@router.get("/audit")
def show_audit(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    pack: str | None = None,
    actor: str | None = None,
) -> Answer:
    """Who did what, newest first: requests that changed something, and every revision that came into use."""
    trail = request.app.state.context.trail
    if trail is None:
        raise Failure(Code.UNAVAILABLE, "this packd keeps no record of requests")
    return Answer({"data": trail.newest(limit=limit, pack=pack, actor=actor)})


@router.post("/verify")
def verify_now(house: InHouse) -> Answer:
    """Compare every tree that is in use, or could be put back, with its digest; put right what can be. Waits for it."""
    drifts = [asdict(drift) for drift in house.verify()]
    message = (
        f"{len(drifts)} drifted" if drifts else "Everything that is in use or could be put back is what was tested"
    )
    return Answer({"data": {"drifts": drifts}, "message": message})
