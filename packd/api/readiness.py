"""Can packd do its work? The one question that is answered before the whole of this door is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from packd.domain import health
from packd.domain.failures import Code, Failure

if TYPE_CHECKING:
    from packd.domain.health import Ailment


def ready(ailments: tuple[Ailment, ...], *, to_strangers: bool = False) -> dict[str, Any]:
    """The answer's data. Raises Failure with the reasons when it can't.

    Strangers may ask, as load balancers do, and are told no reasons: those name folders and endpoints.
    """
    if not health.is_ready(ailments):
        raise unavailable(ailments, to_strangers=to_strangers)
    return {"status": "ready", "warnings": [] if to_strangers else [ailment.sentence for ailment in ailments]}


def unavailable(ailments: tuple[Ailment, ...], *, to_strangers: bool = False) -> Failure:
    """503, with what is wrong."""
    if to_strangers:
        return Failure(Code.UNAVAILABLE, "not now: `GET /healthz` says why, with a token")
    reasons = [ailment.sentence for ailment in ailments if not health.is_ready([ailment])]
    members = {"reasons": reasons, "ailments": [ailment.to_dict() for ailment in ailments]}
    return Failure(Code.UNAVAILABLE, "; ".join(reasons), members=members)
