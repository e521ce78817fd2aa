"""Waiting for drops to go quiet: hints come in from the watcher and the scans, settled drops go to their lane."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import structlog

from packd.domain.health import Pulse
from packd.flow.occasion import Occasion, TriggerWord

if TYPE_CHECKING:
    from collections.abc import Callable

    from packd.flow.clock import Clock
    from packd.watch.settle import Settled, Settler

_BY_ITSELF: Final[tuple[TriggerWord, None]] = ("fs", None)

log = structlog.get_logger(__name__)


class Settling:
    """The settle thread. It decides nothing itself: the settler says who is quiet, here is only the waiting."""

    def __init__(self, settler: Settler, *, remove_grace_s: float, clock: Clock) -> None:
        self._settler = settler
        self._grace_s = remove_grace_s
        self._clock = clock
        self._wake = threading.Condition()
        # drop → what made packd look and who asked for it, if anybody, for those that have not settled yet
        self._triggers: dict[str, tuple[TriggerWord, str | None]] = {}
        self._gone: dict[str, float] = {}  # drop → when its time of grace is over
        self._vacated: dict[str, float] = {}  # drop → when the same is over for what lay there before
        self._handing_over = 0  # drops that have settled and are not in their lane yet
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="settle", daemon=True)
        self._take: Callable[[str, Occasion], None] = _nobody
        self._remove: Callable[[str], None] = _nobody

    def start(self, *, take: Callable[[str, Occasion], None], remove: Callable[[str], None]) -> None:
        """`take` gets every drop that has settled, `remove` every one that stayed away; both must be quick."""
        self._take, self._remove = take, remove
        self._thread.start()

    def follow(self, *, quiet_s: float, longest_wait_s: float, remove_grace_s: float) -> None:
        """Go by other times from now on. Raises ValueError unless quiet_s <= longest_wait_s."""
        with self._wake:
            self._settler.follow(quiet_s, longest_wait_s)
            self._grace_s = remove_grace_s
            self._wake.notify()

    def stop(self) -> None:
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join()

    def touched(
        self, name: str, *, trigger: TriggerWord = "fs", asked_by: str | None = None, age_s: float = 0.0
    ) -> None:
        """Something below the drop changed, `age_s` seconds ago; or somebody asks for a look."""
        with self._wake:
            self._triggers.setdefault(name, (trigger, asked_by))
            self._settler.touched(name, self._clock.monotonic(), age_s=age_s)
            self._wake.notify()

    def written(self, name: str) -> None:
        """Something was written to an archive; whoever did is to close it."""
        with self._wake:
            self._triggers.setdefault(name, _BY_ITSELF)
            self._settler.written(name, self._clock.monotonic())
            self._wake.notify()

    def arrived_whole(self, name: str) -> None:
        """One rename brought the whole drop, or an archive was closed: it needs no quiet time."""
        with self._wake:
            self._triggers.setdefault(name, _BY_ITSELF)
            self._settler.arrived_whole(name, self._clock.monotonic())
            self._wake.notify()

    def again(self, name: str, occasion: Occasion) -> None:
        """It changed while it was read, or has no end yet: wait once more."""
        if occasion.burst is None:
            self.touched(name, trigger=occasion.trigger, asked_by=occasion.asked_by)
            return
        with self._wake:
            self._triggers.setdefault(name, (occasion.trigger, occasion.asked_by))
            self._settler.again(occasion.burst, self._clock.monotonic())
            self._wake.notify()

    def is_gone(self, name: str) -> None:
        """Start its time of grace, if that is not running already. What is told of it goes on to count: it may be coming
        back by now, and who looks again at what is gone finds that once more."""
        with self._wake:
            self._gone.setdefault(name, self._clock.monotonic() + self._grace_s)
            self._wake.notify()

    def is_back(self, name: str) -> None:
        with self._wake:
            self._gone.pop(name, None)

    def is_vacated(self, name: str) -> None:
        """Another pack lies there, or none: what lay there gets a time of grace to be found elsewhere, unless one is
        running already. Other than that of a drop that is gone, it goes on when something is there again."""
        with self._wake:
            self._vacated.setdefault(name, self._clock.monotonic() + self._grace_s)
            self._wake.notify()

    def hold_removals(self) -> None:
        """The packs directory itself is away: nothing counts as removed."""
        with self._wake:
            self._gone.clear()
            self._vacated.clear()

    def awaits(self, name: str) -> bool:
        """Is the drop being written to, as far as is known?"""
        with self._wake:
            return self._settler.is_waiting(name)

    def waiting(self) -> int:
        """How many drops have not settled yet, or are in their time of grace."""
        with self._wake:
            return len(self._triggers) + len(self._gone.keys() | self._vacated) + self._handing_over

    def quiet_s(self, name: str) -> float | None:
        """For how long nothing may be written to this drop before it is read; None when that is not waited for."""
        with self._wake:
            return self._settler.quiet_s(name)

    def is_open(self, name: str) -> bool:
        """Is it read only when whoever writes it has closed it?"""
        with self._wake:
            return self._settler.is_open(name)

    def pulse(self) -> Pulse:
        """It has something to do when a deadline has passed or drops are being handed over."""
        with self._wake:
            until = self._until_next()
            overdue_s = 0.0 if until is None else max(0.0, -until)
        return Pulse(part="settle", alive=self._thread.is_alive(), waiting_s=overdue_s)

    def _run(self) -> None:
        while True:
            with self._wake:
                if self._stopping:
                    return
                settled, gone = self._due()
                if not settled and not gone:
                    until = self._until_next()
                    self._wake.wait(None if until is None else max(0.0, until))
                    continue
                self._handing_over = len(settled) + len(gone)
                occasions = [(one.name, self._occasion(one)) for one in settled]
            for name, occasion in occasions:
                self._take(name, occasion)
            for name in gone:
                self._remove(name)
            with self._wake:
                self._handing_over = 0

    def _due(self) -> tuple[list[Settled], list[str]]:
        now = self._clock.monotonic()
        gone: dict[str, None] = {}
        for running in (self._gone, self._vacated):
            over = [name for name, deadline in running.items() if deadline <= now]
            for name in over:
                del running[name]
                gone[name] = None
        return self._settler.due(now), [*gone]

    def _until_next(self) -> float | None:
        """Seconds to the next deadline, negative when it has passed; None when nothing waits."""
        deadlines = [*self._gone.values(), *self._vacated.values()]
        following = self._settler.next_deadline()
        if following is not None:
            deadlines.append(following)
        return min(deadlines) - self._clock.monotonic() if deadlines else None

    def _occasion(self, settled: Settled) -> Occasion:
        settle_s = self._clock.monotonic() - settled.first_change
        trigger, asked_by = self._triggers.pop(settled.name, _BY_ITSELF)
        return Occasion(
            trigger=trigger,
            asked_by=asked_by,
            first_change_at_s=self._clock.now() - settle_s,
            settle_ms=settle_s * 1000,
            burst=settled,
        )


def _nobody(*_: object) -> None:
    """Before `start` nobody listens."""
