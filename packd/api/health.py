"""Is it alive, is it ready, is it well: for supervisors, at the root; and the daemon at a glance.

One set of checks behind all of it, the same that the watchdog goes by: see `packd.flow.health`.
"""

from __future__ import annotations

from fastapi import APIRouter

from packd.api.answer import Answer
from packd.api.context import Context, InContext
from packd.domain.failures import Code, Failure
from packd.domain.health import Ailment, is_dying
from packd.domain.health import is_ready as all_ready

router = APIRouter(tags=["health"])
root_router = APIRouter(tags=["health"])

_COMPARING = "packd is comparing the packs directory with its registry; ask again soon"


@router.get("/status")
def show_status(context: InContext) -> Answer:
    """The daemon at a glance."""
    return Answer({"data": context.commands.status()})


@root_router.get("/livez")
def is_alive(context: InContext) -> Answer:
    """It answers, and none of its parts is dead or stuck; 503 when only a restart would help."""
    ailments = context.ailments()
    if is_dying(ailments):
        raise _refusal([ailment.sentence for ailment in ailments if ailment.grade == "dying"], ailments)
    return Answer({"data": {"status": "alive"}})


@root_router.get("/readyz")
def is_ready(context: InContext) -> Answer:
    """It can do its work; 503 with the reasons before the first comparison is done, while it stops, and when it can't.

    `warnings` say what is not as it should be and keeps nobody from working, such as a disabled endpoint.
    """
    if context.tail.closing:
        raise _refusal(["packd is stopping"], ())
    ailments = context.ailments()
    reasons = [ailment.sentence for ailment in ailments if ailment.grade != "degraded"]
    if not context.is_ready():
        reasons.append(_COMPARING)
    if reasons:
        raise _refusal(reasons, ailments)
    return Answer({"data": {"status": "ready", "warnings": context.webhooks.warnings()}})


@root_router.get("/healthz")
def is_well(context: InContext) -> Answer:
    """`ok`; or `degraded` or `failing` with what is wrong (then 503)."""
    ailments, troubles = context.ailments(), _troubles(context)
    data = {
        "status": "degraded" if troubles and not ailments else _state(ailments),
        "troubles": troubles,
        "reasons": [ailment.to_dict() for ailment in ailments],
    }
    return Answer({"data": data}, status_code=200 if data["status"] == "ok" else 503)


def _troubles(context: Context) -> list[str]:
    return list(context.commands.status().get("watch", {}).get("troubles", ()))


def _state(ailments: tuple[Ailment, ...]) -> str:
    if not ailments:
        return "ok"
    return "degraded" if all_ready(ailments) else "failing"


def _refusal(reasons: list[str], ailments: tuple[Ailment, ...]) -> Failure:
    members = {"reasons": reasons, "ailments": [ailment.to_dict() for ailment in ailments]}
    return Failure(Code.UNAVAILABLE, "; ".join(reasons), members=members)
