"""Is what is in use, or could be put back, still what was tested? Read on the schedule and on demand; told once, and
put right where it can be.

The trees lie in packd's own store and are read-only, so a difference means that somebody with the rights wrote there,
or a disk forgot. The content is taken again from the packs directory if it still lies there.
"""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog

from packd.domain.event_data import PackDrifted
from packd.domain.lifecycle import Phase
from packd.flow import tell
from packd.flow.consistency import Checkup
from packd.registry import queries

if TYPE_CHECKING:
    from collections.abc import Callable

    from packd.flow.clock import Clock
    from packd.flow.projections import Projections
    from packd.registry.registry import Registry
    from packd.registry.rows import Revision
    from packd.snapshot.store import Store

log = structlog.get_logger("packd")

LANE: Final = "integrity"


@dataclass(frozen=True, kw_only=True)
class Drift:
    """One revision, in use or one that a roll-back could lead to, that was not what it had been."""

    ref: str
    revision: int
    repaired: bool
    detail: str

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


class Integrity:
    """Reads every tree that is in use or could be put back whole, and compares it with its digest."""

    def __init__(
        self,
        *,
        registry: Registry,
        store: Store,
        checkup: Checkup,
        projections: Projections,
        clock: Clock,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        """`done` is called behind every look."""
        self._registry = registry
        self._store = store
        self._checkup = checkup
        self._projections = projections
        self._clock = clock
        self._done = done
        self._one_at_a_time = threading.Lock()
        self._told: set[tuple[str, int]] = set()  # what could not be put right is told once

    def look(self) -> None:
        """For the schedule."""
        self.check()

    def check(self) -> list[Drift]:
        """Everything that was found, put right or not. Raises OSError when a disk fails."""
        with self._one_at_a_time:
            self._projections.rebuild()
            with self._registry.read() as connection:
                usable = queries.usable_revisions(connection)
            once = {(one.ref, one.digest): one for one in sorted(usable, key=_is_in_use)}  # the one in use comes last
            drifts = [drift for revision in once.values() if (drift := self._check(revision)) is not None]
        self._done()
        return drifts

    def _check(self, revision: Revision) -> Drift | None:
        key = (revision.ref, revision.number)
        if self._store.verify(revision.digest):
            self._told.discard(key)
            return None
        if not self._is_kept(revision):
            return None
        repaired = self._checkup.take_again(revision)
        sentence = _sentence(revision, repaired)
        drift = Drift(ref=revision.ref, revision=revision.number, repaired=repaired, detail=sentence)
        if key not in self._told:
            self._tell(revision, drift)
        if not repaired:
            self._told.add(key)
        return drift

    def _is_kept(self, revision: Revision) -> bool:
        """Not swept: what is in use never is, nor what was so until that came, though they may be lost."""
        with self._registry.read() as connection:
            active = queries.active_revision(connection, revision.ref)
            before = queries.rollback_target(connection, revision.ref)
            if before is not None and not queries.was_in_use_until(connection, before):
                before = None
        if any(one is not None and one.digest == revision.digest for one in (active, before)):
            return True
        return not _is_in_use(revision) and self._store.has(revision.digest)

    def _tell(self, revision: Revision, drift: Drift) -> None:
        with self._registry.write() as tx:
            tx.emit(
                PackDrifted(pack=tell.about(revision), repaired=drift.repaired, detail=drift.detail),
                correlation_id=self._clock.new_id("chg"),
            )


def _is_in_use(revision: Revision) -> bool:
    return revision.phase == Phase.ACTIVE


def _sentence(revision: Revision, repaired: bool) -> str:
    if repaired:
        return "its files in the store were changed or lost; they were put right from the packs directory"
    lost = "its files in the store were changed or lost, and the same content does not lie in the packs directory"
    if _is_in_use(revision):
        return f"{lost}: drop it there again, or roll back"
    return f"{lost}: it is not in use, and can't be put back before that content is dropped again"
