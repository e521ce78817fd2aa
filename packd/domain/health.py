"""Is the daemon well? One judgement for /livez, /readyz, /healthz, `packd status` and the watchdog."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

# dying: only a restart helps, so the watchdog is let bite. unready: it can't do its work now, and a restart would not
# change that. degraded: it works, less well than it should. warning: it works as it should, and somebody should look.
Grade = Literal["dying", "unready", "degraded", "warning"]
GRADES: Final[tuple[Grade, ...]] = ("dying", "unready", "degraded", "warning")  # the worst first

STUCK_AFTER_S = 300.0  # nothing that a part does in one go takes that long


@dataclass(frozen=True, kw_only=True)
class Pulse:
    """How one part of the daemon was when it was asked."""

    part: str  # e.g. "settle", "dispatch", "lanes"
    alive: bool  # the thread that does its work runs
    waiting_s: float = 0.0  # for so long it has had something to do and got nowhere; 0 when it moves or rests
    allowed_s: float = STUCK_AFTER_S


@dataclass(frozen=True, kw_only=True)
class Ailment:
    """One thing that is wrong."""

    part: str  # e.g. "watch", "database", "clock"
    grade: Grade
    sentence: str  # what is wrong and the way out

    def to_dict(self) -> dict[str, str]:
        """JSON form, as /readyz and `packd status --json` show it."""
        return {"part": self.part, "grade": self.grade, "reason": self.sentence}


def judge(pulses: Iterable[Pulse]) -> tuple[Ailment, ...]:
    """What is wrong with the parts themselves; each of it is cured by a restart alone."""
    return tuple(ailment for pulse in pulses if (ailment := _judge(pulse)) is not None)


def _judge(pulse: Pulse) -> Ailment | None:
    if not pulse.alive:
        said = f"the thread '{pulse.part}' has died: restart packd, and please report it with the log of that moment"
    elif pulse.waiting_s > pulse.allowed_s:
        said = f"'{pulse.part}' has not moved for {pulse.waiting_s:.0f} s: restart packd, and please report it"
    else:
        return None
    return Ailment(part=pulse.part, grade="dying", sentence=said)


def is_dying(ailments: Iterable[Ailment]) -> bool:
    """Would only a restart help?"""
    return any(ailment.grade == "dying" for ailment in ailments)


def is_ready(ailments: Iterable[Ailment]) -> bool:
    """Can it do its work?"""
    return not any(ailment.grade in ("dying", "unready") for ailment in ailments)


def is_well(ailments: Iterable[Ailment]) -> bool:
    """Does it work as it should?"""
    return all(ailment.grade == "warning" for ailment in ailments)


def worst_first(ailments: Iterable[Ailment]) -> tuple[Ailment, ...]:
    """By grade; those of one grade stay in their order."""
    return tuple(sorted(ailments, key=lambda ailment: GRADES.index(ailment.grade)))
