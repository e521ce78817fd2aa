"""The one set of checks: asks every part for its pulse, and everything else that may be wrong.

`/livez`, `/readyz`, `/healthz`, `packd status`, `packd doctor`, `/metrics` and the watchdog say what is said here, no less and no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from packd.domain.failures import Failure
from packd.domain.health import Ailment, judge, worst_first
from packd.flow.endpoint_health import disabled
from packd.registry import queries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from packd.domain.health import Pulse
    from packd.flow.clock_sync import ClockWatch
    from packd.registry.registry import Registry

    Ask = Callable[[], Pulse]
    Check = Callable[[], Iterable[Ailment]]

_NOT_READY: Final = {
    "starting": "packd is comparing the packs directory with its registry; ask again soon",
    "stopping": "packd is stopping",
}


class Health:
    """Cheap enough to be asked every second. Parts join when they are started and leave when they are stopped."""

    def __init__(self, *, registry: Registry, clock_watch: ClockWatch) -> None:
        self._registry = registry
        self._clock_watch = clock_watch
        self._stage: Literal["starting", "working", "stopping"] = "starting"
        self._parts: list[Ask] = []
        self._checks: list[Check] = [self._ask_stage, self._ask_registry]

    def include(self, *parts: Ask) -> None:
        """Ask these for their pulse from now on."""
        self._parts.extend(parts)

    def also(self, *checks: Check) -> None:
        """Ask these, too, what is wrong."""
        self._checks.extend(checks)

    def working(self) -> None:
        """The packs directory was compared with the registry."""
        if not self.is_stopping:
            self._stage = "working"

    @property
    def is_stopping(self) -> bool:
        return self._stage == "stopping"

    def stopping(self) -> None:
        """No new work is taken any more."""
        self._stage = "stopping"

    def dying(self) -> tuple[Ailment, ...]:
        """What only a restart cures; asks neither disk nor database."""
        return judge(ask() for ask in self._parts)

    def ailments(self) -> tuple[Ailment, ...]:
        """Everything that is wrong, the worst first."""
        found = (*self.dying(), *(ailment for check in self._checks for ailment in check()))
        return worst_first(dict.fromkeys(found))  # two checks may find the same

    def _ask_stage(self) -> Iterator[Ailment]:
        if self._stage in _NOT_READY:
            yield Ailment(part="daemon", grade="unready", sentence=_NOT_READY[self._stage])

    def _ask_registry(self) -> Iterator[Ailment]:
        try:
            with self._registry.read() as connection:
                endpoints = queries.all_endpoints(connection)
        except Failure as failure:
            yield Ailment(part="database", grade="unready", sentence=failure.sentence)
            return
        except Exception as failure:
            why = getattr(failure, "orig", failure)  # the driver's words, without what was asked of it
            said = f"the registry's database does not answer ({why}): see `packd db check`"
            yield Ailment(part="database", grade="unready", sentence=" ".join(said.split()))
            return
        yield from disabled(endpoints)
        if self._clock_watch.warning and any(one.state == "enabled" for one in endpoints):
            yield Ailment(part="clock", grade="warning", sentence=self._clock_watch.warning)
