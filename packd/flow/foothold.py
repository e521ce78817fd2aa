"""What the daemon holds: is its state directory still what it was, so that the next start finds it, and is it alone?

Somebody who clears away what looks superfluous is not told by the files: they go on working, for whoever has them open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from packd.domain.health import Ailment
from packd.flow.exclusive import AlreadyRunning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packd.flow.exclusive import Lock
    from packd.registry.database import Database

log = structlog.get_logger(__name__)


class Foothold:
    """A look costs a few system calls."""

    def __init__(self, *, database: Database, lock: Lock | None) -> None:
        """`lock` of the state directory; None where nobody else can be there."""
        self._database = database
        self._lock = lock
        self._displaced: str | None = None  # as it was said
        self._lost_lock: str | None = None  # as it was said
        self._shared: str | None = None  # as it was said

    def check(self) -> None:
        """For the schedule. Says what has changed, and takes a lock again that was removed."""
        self._look_after_database()
        self._look_after_lock()
        self._look_after_occupancy()

    def ailments(self) -> Iterator[Ailment]:
        """With any of these, what packd does may come to nothing."""
        displaced = self._database.displaced()
        if displaced is not None:
            yield Ailment(part="database", grade="unready", sentence=displaced)
        if self._lost_lock is not None:
            yield Ailment(part="lock", grade="unready", sentence=self._lost_lock)
        if self._shared is not None:
            yield Ailment(part="database", grade="unready", sentence=self._shared)

    def _look_after_database(self) -> None:
        displaced = self._database.displaced()
        if displaced is not None and displaced != self._displaced:
            log.error("database.displaced", detail=displaced)
        elif displaced is None and self._displaced is not None:
            log.info("database.back")
        self._displaced = displaced

    def _look_after_lock(self) -> None:
        try:
            if self._lock is not None and self._lock.keep():
                log.warning("lock.made_again", detail="packd.lock was removed while packd runs, and is held again")
            lost = None
        except AlreadyRunning as refusal:
            lost = f"packd.lock was removed while packd runs, and now two use its state; {refusal}"
        except OSError as failure:
            lost = f"packd.lock was removed while packd runs, and can't be made again; {failure}"
        if lost is not None and lost != self._lost_lock:
            log.error("lock.lost", detail=lost)
        self._lost_lock = lost

    def _look_after_occupancy(self) -> None:
        shared = self._database.keep_occupied()
        if shared is not None and shared != self._shared:
            log.error("database.shared", detail=shared)
        self._shared = shared
