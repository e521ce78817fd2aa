"""Keeping house: content, events, deliveries and reports that the policy does not keep are removed, on the schedule."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog

from packd.domain.moments import rfc3339, unix_s
from packd.domain.retention import Aged, Decision, Terms, decide, removable
from packd.registry import housekeeping, queries
from packd.snapshot.space import StoreUnwritable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from packd.flow.clock import Clock
    from packd.flow.runs import Runs
    from packd.registry.database import Database
    from packd.registry.registry import Registry
    from packd.snapshot.store import Store

log = structlog.get_logger(__name__)

LANE: Final = "sweep"
_DAY_S: Final = 86_400.0
_YOUNG_S: Final = 3600.0  # content that was asked for so recently may be about to become a revision
_AT_ONCE: Final = 2000  # rows in one transaction, so that nobody waits long for the registry


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
        )

    def sweep(self) -> None:
        """For the schedule."""
        self.run()

    def run(self) -> dict[str, int]:
        """Sweep; returns how much of what was removed."""
        with self._one_at_a_time:
            plan = self.plan()
            swept = {"snapshots": sum(self._removed(digest) for digest in (*plan.remove, *plan.unnamed))}
            swept |= self._forget()
            self._database.optimise()
        if any(swept.values()):
            log.info("sweep.done", **swept)
        self._told(swept)
        return swept

    def _removed(self, digest: str) -> bool:
        """In a transaction, so that nothing that came into use since the plan loses its content."""
        try:
            with self._registry.write() as tx:
                if digest in queries.active_digests(tx.connection).values():
                    return False
                return self._store.remove(digest)
        except (StoreUnwritable, OSError) as failure:
            log.error("sweep.failed", digest=digest, error=str(failure))
            return False

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
