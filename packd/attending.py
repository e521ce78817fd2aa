"""What the main thread does while the daemon runs: heeds signals, asks after everybody's health, tells the supervisor.

The watchdog is fed from here, and only after a look at every part: a dead watcher or a stuck pipeline starves it, and
so does a main thread that hangs.
"""

from __future__ import annotations

import faulthandler
import sys
from typing import TYPE_CHECKING, Final

import structlog

from packd.domain.failures import for_log
from packd.domain.health import is_dying

if TYPE_CHECKING:
    from collections.abc import Callable

    from packd.bootstrap import Parts
    from packd.domain.health import Ailment
    from packd.reloading import Reloader
    from packd.service.notify import Notifier
    from packd.service.signals import Signals

log = structlog.get_logger("packd")

_ROUND_S: Final = 10.0  # between two looks when nobody waits for them
_FILE_ROUND_S: Final = 2.0  # between two looks at the configuration file
_STEP_S: Final = 5.0  # a clock that is kept right is adjusted by less, and gradually
_ROUNDS_A_WATCHDOG: Final = 3  # one may be late without harm


class ClockStep:
    """Notices when the wall clock is set, by the clock that never is; a machine that slept looks the same."""

    def __init__(self, *, wall: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._known = self._difference()

    def step_s(self) -> float:
        """By how many seconds since this was last `followed`, negative for back; 0.0 for what is only an adjustment."""
        step = self._difference() - self._known
        return step if abs(step) > _STEP_S else 0.0

    def followed(self) -> None:
        """What depends on the clock has been told."""
        self._known = self._difference()

    def _difference(self) -> float:
        return self._wall() - self._monotonic()


class Attendant:
    """Call `attend` from the main thread; it returns when the daemon is asked to stop."""

    def __init__(self, parts: Parts, *, signals: Signals, notifier: Notifier, reloader: Reloader) -> None:
        self._parts = parts
        self._signals = signals
        self._notifier = notifier
        self._reloader = reloader
        self._clock_step = ClockStep(wall=parts.clock.now, monotonic=parts.clock.monotonic)
        self._ailing: tuple[Ailment, ...] = ()
        self._described: tuple[object, ...] = ()  # what the status sentence was made of
        self._round_s = min(_ROUND_S, notifier.watchdog_s / _ROUNDS_A_WATCHDOG) if notifier.watchdog_s else _ROUND_S
        self._wait_s = min(self._round_s, _FILE_ROUND_S) if reloader.watches else self._round_s

    def attend(self) -> None:
        """One round after another, until SIGTERM or SIGINT."""
        if sys.__stderr__ is not None:
            faulthandler.enable(sys.__stderr__)  # the watchdog ends us by SIGABRT: say where every thread stood
        next_round_s = self._parts.clock.monotonic()
        while not self._signals.stop:
            self._look_after_configuration()
            if self._parts.clock.monotonic() >= next_round_s:
                self._look_after_clock()
                self._look_after_health()
                next_round_s = self._parts.clock.monotonic() + self._round_s
            self._signals.wait(self._wait_s)

    def _look_after_configuration(self) -> None:
        asked, self._signals.reload = self._signals.reload, False
        if not asked and not (self._reloader.watches and self._reloader.file_changed()):
            return
        self._notifier.reloading()
        self._reloader.reload()
        self._described = ()
        self._notifier.ready(self._sentence())

    def _look_after_clock(self) -> None:
        """What waits for a moment must not wait longer because that moment moved away."""
        step_s = self._clock_step.step_s()
        try:
            self._parts.dispatcher.mind_the_clock()
            if not step_s:
                return
            self._parts.dispatcher.clock_was_set(step_s)
        except Exception as failure:
            log.error(
                "clock.not_followed", **for_log(failure)
            )  # the database is busy: the next round sees the same step
            return
        self._clock_step.followed()
        log.warning("clock.was_set", by_s=round(step_s, 1))

    def _look_after_health(self) -> None:
        ailing = self._parts.health.dying()
        if [one.part for one in ailing] != [one.part for one in self._ailing]:
            for ailment in ailing:
                log.critical("health.failing", part=ailment.part, reason=ailment.sentence)
            if not ailing:
                log.info("health.recovered")
        self._ailing = ailing
        if not is_dying(ailing):
            self._notifier.alive()
        if self._notifier.listening:
            self._describe()

    def _describe(self) -> None:
        """Only when something happened: counting packs is not free."""
        parts = self._parts
        seen = (parts.feed.newest, self._ailing, parts.lanes.depth(), parts.configuration.rejected)
        if seen != self._described:
            self._described = seen
            self._notifier.status(self._sentence())

    def _sentence(self) -> str:
        if self._ailing:
            return self._ailing[0].sentence
        words = self._parts.status.sentence()
        rejected = self._parts.configuration.rejected
        return f"{words}; the new configuration was rejected: {rejected[0]}" if rejected else words
