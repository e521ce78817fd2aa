"""What was refused for nothing but whom it would break: tried again by itself as soon as it would break nobody any more.

Packs that move up together may be read in any order; the first one is refused while the others are not there yet.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

from packd.domain.dependencies import BREAKS_DEPENDENT
from packd.domain.event_data import PackValidationFailed
from packd.domain.lifecycle import Phase
from packd.flow import standing
from packd.flow.outcomes import try_again
from packd.registry import queries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from packd.flow.clock import Clock
    from packd.registry.registry import Registry
    from packd.registry.rows import Revision, StoredEvent

log = structlog.get_logger(__name__)


class Forbidden:
    """Remembers where to look, as finding it anew behind every change would take a look at all revisions.

    Whether something is tried again follows from the registry alone. By the same rule it would have been refused, so
    that nothing is tried again twice unless another pack has changed in between.
    """

    def __init__(self, *, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock
        self._lock = threading.Lock()
        self._seqs: dict[str, int] = {}  # ref → the seq of the event that told it

    @property
    def refs(self) -> tuple[str, ...]:
        """The packs whose newest revision may be such a one."""
        with self._lock:
            return tuple(sorted(self._seqs))

    def heard(self, events: Sequence[StoredEvent]) -> list[str]:
        """Remember what these events say of it; returns the refs."""
        refused = {
            event.subject.removeprefix("packs/"): event.seq
            for event in events
            if event.type == PackValidationFailed.type and BREAKS_DEPENDENT in event.body
        }
        if refused:
            with self._lock:
                self._seqs |= refused
        return list(refused)

    def recalled(self) -> tuple[str, ...]:
        """`refs`, after a look at the newest revision of every pack."""
        with self._registry.read() as connection:
            rejected = queries.latest_revisions(connection, Phase.REJECTED)
        with self._lock:
            for one in rejected:
                if standing.is_refused_for_others(one):
                    self._seqs.setdefault(one.ref, 0)
        return self.refs

    def lift(self, ref: str) -> Revision | None:
        """In the lane of the pack: start over with what would break nobody now; None: there is no such thing."""
        with self._lock:
            told = self._seqs.get(ref)
        if told is None:
            return None
        with self._registry.read() as connection:
            latest = queries.latest_revision(connection, ref)
            if _lifted(connection, ref) is None:
                if latest is None or not standing.is_refused_for_others(latest):
                    self._forget(ref, told)
                return None
        with self._registry.write() as tx:
            lifted = _lifted(tx.reader, ref)  # or something has changed since
            if lifted is None:
                return None
            again = try_again(tx, lifted, change=self._clock.new_id("chg"), now_s=self._clock.now())
        log.info("pack.retried", pack=again.name, why="it would break no pack in use any more")
        return again

    def _forget(self, ref: str, told: int) -> None:
        """Unless it was told again since."""
        with self._lock:
            if self._seqs.get(ref) == told:
                del self._seqs[ref]


def _lifted(connection: Connection, ref: str) -> Revision | None:
    refused = standing.refused_for_others(connection, ref)
    return None if refused is None or standing.of(connection, refused).forbidden_by else refused
