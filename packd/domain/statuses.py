"""What is said of a pack in one word, and which packs a word means when one asks for it."""

from __future__ import annotations

from enum import StrEnum

from packd.domain.lifecycle import REFUSED


class PackStatus(StrEnum):
    """How a pack stands, or a drop that never became one."""

    ACTIVE = "active"  # something of it is in use
    TESTING = "testing"  # nothing is, and its first content is on its way
    WAITING = "waiting"  # the same, until packs that it needs are active
    DISABLED = "disabled"
    REFUSED = "refused"  # what lies there can't even be read as a pack
    REJECTED = "rejected"  # nothing is in use; these are what became of its newest content
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    SUPERSEDED = "superseded"
    UNREGISTERED = "unregistered"


def is_meant(wanted: str, *, status: str, newest_phase: str | None) -> bool:
    """Is a pack with this status one of those that are `wanted`?

    Refused content is asked for whether or not older content is in use; `refused` means each way of being refused.
    """
    refused = newest_phase if newest_phase in REFUSED else None
    return wanted == status or (refused is not None and wanted in (refused, PackStatus.REFUSED))
