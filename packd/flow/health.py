"""The one set of checks: asks every part for its pulse, and the disk and the database whether they still serve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packd.domain.health import Ailment, judge
from packd.registry import queries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from packd.domain.health import Pulse
    from packd.flow.watchkeeping import Watchkeeper
    from packd.registry.registry import Registry
    from packd.watch.watcher import Watcher

    Ask = Callable[[], Pulse]


class Health:
    """Cheap enough to be asked every second. Parts join when they are started and leave when they are stopped."""

    def __init__(self, *, registry: Registry, keeper: Watchkeeper, watcher: Watcher) -> None:
        self._registry = registry
        self._keeper = keeper
        self._watcher = watcher
        self._parts: list[Ask] = []
        self._others: list[Callable[[], Ailment | None]] = []

    def include(self, *parts: Ask) -> None:
        """Ask these for their pulse from now on."""
        self._parts.extend(parts)

    def also(self, check: Callable[[], Ailment | None]) -> None:
        """Ask this, too, whether something is wrong."""
        self._others.append(check)

    def dying(self) -> tuple[Ailment, ...]:
        """What only a restart cures; asks neither disk nor database."""
        return judge(ask() for ask in self._parts)

    def ailments(self) -> tuple[Ailment, ...]:
        """Everything that is wrong, the worst first."""
        return (*self.dying(), *self._unready(), *self._degraded())

    def _unready(self) -> Iterator[Ailment]:
        for check in self._others:
            ailment = check()
            if ailment is not None:
                yield ailment
        try:
            with self._registry.read() as connection:
                queries.last_seq(connection)
        except Exception as failure:
            said = f"the registry's database does not answer ({failure}): see `packd db check`"
            yield Ailment(part="database", grade="unready", sentence=" ".join(said.split()))

    def _degraded(self) -> Iterator[Ailment]:
        for trouble in self._watcher.state().troubles:
            yield Ailment(part="watch", grade="degraded", sentence=trouble.detail)
