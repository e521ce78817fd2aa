"""Keeping house: content, events, deliveries and reports that the policy does not keep are removed, on the schedule."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog

from packd.domain.lifecycle import UNFINISHED, Phase
from packd.domain.moments import rfc3339, unix_s
from packd.domain.retention import Aged, Decision, Terms, decide, removable
from packd.flow import memory
from packd.registry import housekeeping, queries
from packd.snapshot.discarding import discard_quietly
from packd.snapshot.space import StoreUnwritable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from sqlalchemy import Connection

    from packd.flow.clock import Clock
    from packd.flow.runs import Runs
    from packd.registry.database import Database
    from packd.registry.registry import Registry
    from packd.registry.rows import Revision
    from packd.snapshot.store import Store

log = structlog.get_logger(__name__)

LANE: Final = "sweep"
_DAY_S: Final = 86_400.0
_YOUNG_S: Final = 3600.0  # content that was asked for so recently may be about to become a revision
_AT_ONCE: Final = 2000  # rows in one transaction, so that nobody waits long for the registry
_TREES_AT_ONCE: Final = 100  # likewise; each is one rename


@dataclass(frozen=True, kw_only=True)
class Ages:
    """The part of the policy that goes by age alone."""

    events_days: float  # events and deliveries
    reports_days: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a sweep would do now."""

    decisions: tuple[Decision, ...]
    remove: tuple[str, ...]  # digests
    unnamed: tuple[str, ...]  # digests that no revision names; leftovers of a crash
    later: tuple[str, ...]  # digests that are not kept either, and were asked for too recently to go now

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


class Sweeper:
    """Plans and sweeps. Safe beside everything else: what is needed is decided, and removed, in one look."""

    def __init__(
        self,
        *,
        registry: Registry,
        database: Database,
        store: Store,
        runs: Runs,
        clock: Clock,
        terms: Terms,
        ages: Ages,
        told: Callable[[Mapping[str, int]], None] = lambda _: None,
    ) -> None:
        """`told` gets how much of what each sweep has removed."""
        self._registry = registry
        self._database = database
        self._store = store
        self._runs = runs
        self._clock = clock
        self._terms = terms
        self._ages = ages
        self._told = told
        self._one_at_a_time = threading.Lock()

    def follow(self, terms: Terms, ages: Ages) -> None:
        """Go by this from now on."""
        self._terms, self._ages = terms, ages

    def plan(self) -> Plan:
        """What to keep, what to remove and why, as it is now."""
        stored = self._store.digests()
        with self._registry.read() as connection:
            revisions = [_aged(row) for row in queries.all_revisions(connection)]
            targets = {
                ref: target.number
                for ref in {one.ref for one in revisions}
                if (target := queries.rollback_target(connection, ref)) is not None
            }
            named = queries.digests_in_use(connection)
        decisions = decide(
            revisions, targets=targets, busy=self._runs.under_way(), terms=self._terms, now_s=self._clock.now()
        )
        old = [digest for digest in stored if self._store.age_s(digest) > _YOUNG_S]
        return Plan(
            decisions=decisions,
            remove=removable(decisions, old),
            unnamed=tuple(digest for digest in old if digest not in named),
            later=removable(decisions, set(stored) - set(old)),
        )

    def sweep(self) -> None:
        """For the schedule."""
        self.run()

    def run(self) -> dict[str, int]:
        """Sweep; returns how much of what was removed."""
        with self._one_at_a_time:
            plan = self.plan()
            doomed = (*plan.remove, *plan.unnamed)
            portions = (doomed[at : at + _TREES_AT_ONCE] for at in range(0, len(doomed), _TREES_AT_ONCE))
            swept = {"snapshots": sum(map(self._removed, portions))}
            swept |= self._forget()
            self._database.optimise()
        memory.give_back()  # looking at all revisions took some, and an hour of work has left it in many places
        if any(swept.values()):
            log.info("sweep.done", **swept)
        self._told(swept)
        return swept

    def _removed(self, digests: tuple[str, ...]) -> int:
        """How many of these were removed. Emptying the trees, which takes long, keeps nobody from the registry."""
        aside = self._set_aside(digests)
        for tree in aside:
            discard_quietly(tree)
        return len(aside)

    def _set_aside(self, digests: tuple[str, ...]) -> list[Path]:
        """In a transaction, so that nothing that came into use, or may be about to, since the plan loses its content."""
        aside = []
        with self._registry.write() as tx:
            needed = _needed(tx.connection, digests)
            for digest in digests:
                if digest in needed or self._store.age_s(digest) <= _YOUNG_S:
                    continue
                try:
                    tree = self._store.set_aside(digest)
                except (StoreUnwritable, OSError) as failure:
                    log.error("sweep.failed", digest=digest, error=str(failure))
                    continue
                if tree is not None:
                    aside.append(tree)
        return aside

    def _forget(self) -> dict[str, int]:
        now = self._clock.now()
        told, reports = (rfc3339(now - days * _DAY_S) for days in (self._ages.events_days, self._ages.reports_days))
        return {
            "events": self._in_portions(housekeeping.forget_events, told),
            "deliveries": self._in_portions(housekeeping.forget_deliveries, told),
            "requests": self._in_portions(housekeeping.forget_audit, told),
            "reports": self._in_portions(housekeeping.forget_reports, reports),
        }

    def _in_portions(self, forget: Callable[..., int], before: str) -> int:
        total = 0
        while True:
            with self._registry.write() as tx:
                gone = forget(tx.connection, before=before, most=_AT_ONCE)
            total += gone
            if gone < _AT_ONCE:
                return total


def _aged(row: Any) -> Aged:
    return Aged(ref=row.ref, number=row.number, digest=row.digest, phase=row.phase, phase_at_s=unix_s(row.phase_at))


def _needed(connection: Connection, digests: Collection[str]) -> set[str]:
    """Those of them that are in use, on their way, or what a roll-back leads to."""
    return {one.digest for one in queries.revisions_with(connection, digests) if _is_needed(connection, one)}


def _is_needed(connection: Connection, revision: Revision) -> bool:
    if revision.phase == Phase.ACTIVE or revision.phase in UNFINISHED:
        return True
    target = queries.rollback_target(connection, revision.ref)
    return target is not None and target.number == revision.number
