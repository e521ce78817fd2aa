"""Can packd do its work? The one question that is answered before the whole of this door is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from packd.domain import health
from packd.domain.failures import Code, Failure

if TYPE_CHECKING:
    from packd.domain.health import Ailment


def ready(ailments: tuple[Ailment, ...]) -> dict[str, Any]:
    """The answer's data. Raises Failure with the reasons when it can't."""
    if not health.is_ready(ailments):
        raise unavailable(ailments)
    return {"status": "ready", "warnings": [ailment.sentence for ailment in ailments]}


def unavailable(ailments: tuple[Ailment, ...]) -> Failure:
    """503, with what is wrong."""
    reasons = [ailment.sentence for ailment in ailments if not health.is_ready([ailment])]
    members = {"reasons": reasons, "ailments": [ailment.to_dict() for ailment in ailments]}
    return Failure(Code.UNAVAILABLE, "; ".join(reasons), members=members)
