"""Between the watcher and everything else: hints go to the settle thread, signs of loss become events and full scans."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import structlog

from packd.domain.event_data import WatchDegraded, WatchRecovered
from packd.domain.health import Ailment
from packd.registry.full_disk import DiskFull

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from packd.domain.event_data import WatchData
    from packd.flow.clock import Clock
    from packd.flow.settling import Settling
    from packd.registry.registry import Registry
    from packd.registry.rows import StoredEvent
    from packd.watch.hints import Hint, Recovered, Trouble

log = structlog.get_logger(__name__)

Reason = Literal["overflow", "root_missing", "limit", "disk"]
Cause = Literal["overflow", "root_missing", "limit", "permission", "disk"]  # what can be wrong at the same time


CAUSES: Final[tuple[Cause, ...]] = ("overflow", "root_missing", "limit", "permission", "disk")


@dataclass(frozen=True, kw_only=True)
class _Open:
    """A trouble that is not over."""

    correlation_id: str  # of its events
    detail: str  # what is wrong and the way out


class Watchkeeper:
    """Knows which troubles are open, so that each is told once when it begins and once when it is over.

    What is wrong may turn out to be something else meanwhile: the newest sentence is the one that is shown.
    """

    def __init__(self, *, packs_dir: Path, registry: Registry, settling: Settling, clock: Clock) -> None:
        self._packs_dir = packs_dir
        self._registry = registry
        self._settling = settling
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[Cause, _Open] = {}  # what is wrong now
        self._untold: list[tuple[WatchData, str]] = []  # with the correlation identities, in order
        self._telling = threading.Lock()  # apart from the other one: no hint waits for the disk
        self._reconcile: Callable[[], None] = lambda: None

    def scan_with(self, reconcile: Callable[[], None]) -> None:
        """`reconcile` is asked for whenever events may have been lost."""
        self._reconcile = reconcile

    def troubles(self) -> list[str]:
        """The reasons why watching is degraded now."""
        with self._lock:
            return sorted(self._open)

    def ailments(self) -> Iterator[Ailment]:
        """What keeps changes from being seen at once; for want of room on the disk there is a check of its own."""
        with self._lock:
            standing = {cause: one.detail for cause, one in self._open.items() if cause != "disk"}
        for cause in sorted(standing):
            yield Ailment(part="watch", grade="degraded", sentence=standing[cause])

    # --- what the watcher says ---------------------------------------------------------------------------------------

    def on_hint(self, hint: Hint) -> None:
        if hint.drop is None or self._has_lost_root():
            self._reconcile()
        if hint.drop is None:
            return
        if hint.whole:
            self._settling.arrived_whole(hint.drop)
        elif hint.written:
            self._settling.written(hint.drop)
        else:
            self._settling.touched(hint.drop)

    def on_trouble(self, trouble: Trouble) -> None:
        self._begin(trouble.reason, trouble.scope, trouble.detail)

    def on_recovered(self, recovered: Recovered) -> None:
        if recovered.reason != "root_missing":  # whether that is the right folder again, only reconciling can say
            self._end(recovered.reason, recovered.scope)
        self._reconcile()

    # --- what reconciling finds --------------------------------------------------------------------------------------

    def lost_root(self, why: str) -> None:
        self._begin("root_missing", str(self._packs_dir), why)

    def found_root(self) -> None:
        self._end("root_missing", str(self._packs_dir))

    def committed(self, events: tuple[StoredEvent, ...]) -> None:
        """Called behind every transaction that emitted events.

        A pack that is taken from a folder which is not known may make that the packs directory; so may one that goes.
        """
        if self._has_lost_root() and any(event.subject.startswith("packs/") for event in events):
            self._reconcile()

    def _has_lost_root(self) -> bool:
        with self._lock:
            return "root_missing" in self._open

    # --- what the disk says ------------------------------------------------------------------------------------------

    def low_space(self, folder: Path, why: str) -> None:
        """Nothing new is taken for want of room."""
        self._begin("disk", str(folder), why)

    def enough_space(self, folder: Path) -> None:
        """There is room again: what came meanwhile is looked at now."""
        self._end("disk", str(folder))
        self._reconcile()

    def _begin(self, trouble: Cause, scope: str, detail: str) -> None:
        with self._lock:
            known = self._open.get(trouble)
            is_news = known is None or known.detail != detail
            correlation_id = known.correlation_id if known is not None else self._clock.new_id("chg")
            if _REASONS[trouble] not in self._reasons():
                self._untold.append((WatchDegraded(reason=_REASONS[trouble], scope=scope), correlation_id))
            self._open[trouble] = _Open(correlation_id=correlation_id, detail=detail)
        if is_news:
            log.warning("watch.trouble", reason=trouble, scope=scope, detail=detail)
        self._tell()

    def _end(self, trouble: Cause, scope: str) -> None:
        with self._lock:
            ended = self._open.pop(trouble, None)
            if ended is not None and _REASONS[trouble] not in self._reasons():
                self._untold.append((WatchRecovered(reason=_REASONS[trouble], scope=scope), ended.correlation_id))
        self._tell()

    def _reasons(self) -> set[str]:
        return {_REASONS[trouble] for trouble in self._open}

    def _tell(self) -> None:
        """In the order in which it came about, whichever thread comes first; what there is no room for is told later."""
        with self._telling:
            with self._lock:
                untold = list(self._untold)
            if not untold:
                return
            try:
                with self._registry.write() as tx:
                    for said, correlation_id in untold:
                        tx.emit(said, correlation_id=correlation_id)
            except DiskFull as failure:
                log.warning("watch.untold", events=len(untold), why=failure.sentence)
                return
            with self._lock:
                del self._untold[: len(untold)]


# The event's words: a folder that may not be watched is, like one too many, a limit of what can be watched.
_REASONS: Final[dict[Cause, Reason]] = {
    "disk": "disk",
    "overflow": "overflow",
    "root_missing": "root_missing",
    "limit": "limit",
    "permission": "limit",
}
