"""Packs whose tests could not be run are tried again by themselves: what was in the way may have passed.

Only where the report says that the network or the machine was to blame. What the pack itself got wrong is not tried
again until somebody changes it. And what the daemon could not do while its database was away is looked for as soon as
that is back, however long it is until the next comparison of everything.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

import structlog

from packd.domain.failures import Failure
from packd.domain.lifecycle import Phase
from packd.registry import queries

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from packd.flow.clock import Clock
    from packd.flow.commands import Commands
    from packd.flow.workers import Lanes
    from packd.registry.registry import Registry
    from packd.registry.rows import Revision, Run

log = structlog.get_logger(__name__)

LANE: Final = "second-chances"
_FIRST_PAUSE_S: Final = 60.0
_LONGEST_PAUSE_S: Final = 4 * 3600.0
_MAY_PASS: Final = ("network", "machine")


class SecondChances:
    """Asked by the clock."""

    def __init__(
        self, *, registry: Registry, commands: Commands, lanes: Lanes, clock: Clock, reconcile: Callable[[], None]
    ) -> None:
        self._registry = registry
        self._commands = commands
        self._lanes = lanes
        self._clock = clock
        self._reconcile = reconcile

    def request(self) -> None:
        """Look, soon, in a lane of its own."""
        self._lanes.submit(LANE, self._run)

    def _run(self) -> None:
        self.run()

    def run(self) -> list[str]:
        """Try again what is due; returns the refs."""
        with self._registry.read() as connection:
            failed = queries.latest_revisions(connection, Phase.FAILED)
            due = [
                one
                for one in failed
                if is_due(_runs_of(one, queries.run_history(connection, one.ref)), self._clock.now())
            ]
        if self._lanes.put_off():  # behind the question, which only a database answers that is there
            self._reconcile()
        return [one.ref for one in due if self._retry(one)]

    def _retry(self, revision: Revision) -> bool:
        try:
            self._commands.retry_revision(revision.ref, source="schedule", actor="schedule")
        except Failure as failure:  # gone, or changed in the meantime
            log.info("pack.not_retried", pack=revision.name, detail=str(failure))
            return False
        log.info("pack.retried", pack=revision.name, source="schedule")
        return True


def is_due(runs: Sequence[Run], now_s: float) -> bool:
    """Newest first, of one revision: has the pause after so many vain attempts in a row passed? What was tested by hand
    in between is none."""
    attempts = [run for run in runs if run.trigger_reason != "manual"]
    vain = 0
    for run in attempts:
        if not is_excusable(run):
            break
        vain += 1
    if not vain or attempts[0].finished_at is None:
        return False
    ended_s = datetime.fromisoformat(attempts[0].finished_at).timestamp()
    return now_s - ended_s >= pause_s(vain)


def pause_s(vain: int) -> float:
    """Seconds until the next attempt after `vain` in a row: twice as long each time, up to some hours."""
    return float(min(_FIRST_PAUSE_S * 2 ** min(vain - 1, 20), _LONGEST_PAUSE_S))


def is_excusable(run: Run) -> bool:
    """Could it not be carried out for a cause that may pass, and failed nothing for one that won't?"""
    report = run.report or {}
    told = [report.get("environment"), *(suite.get("environment") for suite in report.get("test_suites", ()))]
    causes = {about["failed"] for about in told if about and about.get("failed")}
    reasons = {suite.get("reason") for suite in report.get("test_suites", ())} - {None}
    return bool(causes) and causes <= set(_MAY_PASS) and reasons <= {"unavailable"}


def _runs_of(revision: Revision, runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if run.number == revision.number and run.finished_at is not None]
