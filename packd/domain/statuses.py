"""What is said of a pack in one word."""

from __future__ import annotations

from enum import StrEnum


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
