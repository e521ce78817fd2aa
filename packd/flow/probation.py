"""After an activation: the pack's own `health` command is run again and again, and what fails it is rolled back.

Where there is nothing to go back to, nothing of the pack is in use then, unless packs in use need it.

Which revisions are on probation follows from the registry, at every look: a restart forgets nothing.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import structlog

from packd.domain.failures import Failure, for_log
from packd.domain.moments import unix_s
from packd.domain.probation import BadHealthCheck, HealthCheck, health_check
from packd.registry import queries

if TYPE_CHECKING:
    from collections.abc import Callable

    from packd.flow.clock import Clock
    from packd.flow.commands import Commands
    from packd.flow.runs import Runs
    from packd.registry.registry import Registry
    from packd.registry.rows import Revision, StoredEvent

log = structlog.get_logger("packd")

ACTOR: Final = "probation"
_PUT_IN_USE: Final = ("pack.registered", "pack.updated")


class Probation:
    """A thread that sleeps while nobody is on probation."""

    def __init__(
        self,
        *,
        registry: Registry,
        runs: Runs,
        commands: Commands,
        clock: Clock,
        probation_s: float,
        told: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """`probation_s`: how long after it came into use; 0: nobody is on probation. `told` gets whether each health
        command passed.
        """
        self._registry = registry
        self._runs = runs
        self._commands = commands
        self._clock = clock
        self._probation_s = probation_s
        self._told = told
        self._due: dict[tuple[str, int], float] = {}  # when it is next asked, on the clock that never goes back
        self._unusable: set[tuple[str, int]] = set()  # its `health` can't be used, and that was said
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="probation", daemon=True)

    def start(self) -> None:
        """What came into use before is looked at first."""
        self._wake.set()
        self._thread.start()

    def stop(self) -> None:
        """Ask nobody any more; a command under way is ended by whoever ends runs."""
        self._stopping = True
        self._wake.set()

    def follow(self, probation_s: float) -> None:
        """Another time from now on."""
        self._probation_s = probation_s
        self._wake.set()

    def committed(self, events: tuple[StoredEvent, ...]) -> None:
        """Called behind every transaction that emitted events."""
        if self._probation_s and any(event.type in _PUT_IN_USE for event in events):
            self._wake.set()

    def look(self) -> float | None:
        """Ask those that are due; returns the seconds until the next one is, None when nobody is on probation."""
        waits = [wait for revision in self._on_probation() if (wait := self._look_at(revision)) is not None]
        return min(waits, default=None)

    def _run(self) -> None:
        pause_s: float | None = None
        while not self._stopping:
            self._wake.wait(pause_s)
            self._wake.clear()
            try:
                pause_s = None if self._stopping else self.look()
            except Exception as failure:
                log.error("probation.failed", **for_log(failure))
                pause_s = 10.0

    def _on_probation(self) -> list[Revision]:
        if not self._probation_s:
            return []
        since = self._clock.now() - self._probation_s
        with self._registry.read() as connection:
            return [one for one in queries.active_revisions(connection) if unix_s(one.phase_at) > since]

    def _look_at(self, revision: Revision) -> float | None:
        key, check = (revision.ref, revision.number), self._check_of(revision)
        if check is None or self._stopping:
            return None
        now = self._clock.monotonic()
        if now >= self._due.get(key, now):
            self._due[key] = now + check.every_s
            failed = self._runs.probe(revision, check)
            self._told(failed is None)
            if failed is not None and not self._stopping:
                self._failed(revision, failed)
                return None
        return max(0.0, self._due[key] - self._clock.monotonic())

    def _check_of(self, revision: Revision) -> HealthCheck | None:
        try:
            return health_check(revision.fields)
        except BadHealthCheck as wrong:
            if (revision.ref, revision.number) not in self._unusable:
                self._unusable.add((revision.ref, revision.number))
                log.warning("probation.unusable", pack=revision.ref, revision=revision.number, why=str(wrong))
            return None

    def _failed(self, revision: Revision, why: str) -> None:
        log.error("probation.not_passed", pack=revision.ref, revision=revision.number, why=why)
        try:
            self._commands.withdraw(
                revision.ref,
                only=revision.number,
                why=f"its `health` command failed on probation: {why}",
                actor=ACTOR,
                reason="probation",
            )
        except Failure as refusal:  # going back would break others, or it was replaced in the meantime
            log.error("probation.stays", pack=revision.ref, revision=revision.number, why=refusal.sentence)
