"""The lifecycle of a revision, as one table.

A phase is a durable fact, so there are no "-ing" phases: after a crash every unfinished revision goes through the
same loop again. A pair that is not in the table is not a transition; asking for it is a programming error.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Phase(StrEnum):
    """Where a revision stands."""

    SNAPSHOTTED = "snapshotted"  # its content is fixed in the store
    VALIDATED = "validated"  # it says what it must
    WAITING = "waiting"  # a pack that it needs is not active
    TESTED = "tested"  # its own tests passed (or were not asked for)
    ACTIVE = "active"  # the one in use
    SUPERSEDED = "superseded"  # replaced by a newer one
    REJECTED = "rejected"  # validation found errors
    FAILED = "failed"  # its tests did not pass
    ROLLED_BACK = "rolled_back"  # was active and was withdrawn


class Trigger(StrEnum):
    """What moves a revision from one phase to the next."""

    VALIDATION_PASSED = "validation_passed"
    VALIDATION_FAILED = "validation_failed"
    WAITING = "waiting"
    RELEASED = "released"
    TESTS_PASSED = "tests_passed"
    TESTS_FAILED = "tests_failed"
    ACTIVATED = "activated"
    SUPERSEDED = "superseded"
    ROLLED_BACK = "rolled_back"
    RETRIED = "retried"


UNFINISHED: Final = frozenset({Phase.SNAPSHOTTED, Phase.VALIDATED, Phase.WAITING, Phase.TESTED})
REFUSED: Final = frozenset({Phase.REJECTED, Phase.FAILED, Phase.ROLLED_BACK})

TRANSITIONS: Final[dict[tuple[Phase, Trigger], Phase]] = {
    (Phase.SNAPSHOTTED, Trigger.VALIDATION_PASSED): Phase.VALIDATED,
    (Phase.SNAPSHOTTED, Trigger.VALIDATION_FAILED): Phase.REJECTED,
    (Phase.VALIDATED, Trigger.WAITING): Phase.WAITING,
    (Phase.WAITING, Trigger.RELEASED): Phase.VALIDATED,
    (Phase.VALIDATED, Trigger.TESTS_PASSED): Phase.TESTED,
    (Phase.VALIDATED, Trigger.TESTS_FAILED): Phase.FAILED,
    # What it needs, or who needs it, can change while its tests run.
    (Phase.VALIDATED, Trigger.VALIDATION_FAILED): Phase.REJECTED,
    (Phase.TESTED, Trigger.VALIDATION_FAILED): Phase.REJECTED,
    (Phase.TESTED, Trigger.WAITING): Phase.WAITING,
    (Phase.TESTED, Trigger.ACTIVATED): Phase.ACTIVE,
    (Phase.ACTIVE, Trigger.SUPERSEDED): Phase.SUPERSEDED,
    (Phase.ACTIVE, Trigger.ROLLED_BACK): Phase.ROLLED_BACK,
    (Phase.SUPERSEDED, Trigger.ACTIVATED): Phase.ACTIVE,
    **{(phase, Trigger.SUPERSEDED): Phase.SUPERSEDED for phase in sorted(UNFINISHED)},
    **{(phase, Trigger.RETRIED): Phase.SNAPSHOTTED for phase in sorted(REFUSED)},
}


class NotATransition(Exception):
    """The table has no such pair: a bug in the caller, never a user's mistake."""


def after(phase: Phase, trigger: Trigger) -> Phase:
    """The phase that `trigger` leads to from `phase`.

    Raises NotATransition when the table has no such pair.
    """
    try:
        return TRANSITIONS[phase, trigger]
    except KeyError:
        raise NotATransition(f"{phase} has no transition on {trigger}") from None


def picture() -> str:
    """The table as a Mermaid state diagram, for the README."""
    edges = (f"    {before.upper()} --> {then.upper()}: {trigger}" for (before, trigger), then in TRANSITIONS.items())
    return "\n".join(["stateDiagram-v2", f"    [*] --> {Phase.SNAPSHOTTED.upper()}", *edges])
