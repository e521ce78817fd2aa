"""One installation under way: what was asked for, where it works, who is told, and when it is its turn."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from packd.domain.failures import Code, Failure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from packd.domain.reports import RunSource
    from packd.flow.fetching import Fetcher
    from packd.flow.jobs import Progress
    from packd.sources.errand import Errand

_EVERY_S: Final = 0.2
_OTHERS: Final = 600.0  # seconds that an installation waits for the one before it


@dataclass(frozen=True, kw_only=True)
class InstallWish:
    """What somebody asks for."""

    source: str  # a git URL, an archive's URL or path, or `name[@version]`
    ref_spec: str | None = None  # branch, tag or commit
    checksum: str | None = None
    replace: bool = False
    force: bool = False
    skip_tests: bool = False
    dry_run: bool = False
    actor: str
    door: RunSource = "api"  # which one it came through
    is_owner: bool = False  # the daemon's own user, over the socket


@dataclass(frozen=True, kw_only=True, eq=False)
class Trip:
    """One installation."""

    room: Path  # a private folder
    wish: InstallWish
    progress: Progress
    cancelled: threading.Event
    fetcher: Fetcher

    def errand(self, doing: str) -> Errand:
        """A fetch of it, told to whoever follows."""
        self.progress.say("fetch", {"doing": doing, "text": ""})
        return self.fetcher.errand(telling(self.progress, doing), self.cancelled)


class Turn:
    """What is planned must still be true when it is carried out, so one installation comes after another."""

    def __init__(self, lock: threading.Lock, trip: Trip) -> None:
        self._lock = lock
        self._trip = trip

    def __enter__(self) -> None:
        if self._lock.acquire(blocking=False):
            return
        self._trip.progress.say("fetch", {"doing": "waiting for another installation", "text": ""})
        if not self._lock.acquire(timeout=_OTHERS):
            raise Failure(Code.UNAVAILABLE, "another installation has been under way for ten minutes: try again later")

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def telling(progress: Progress, doing: str) -> Callable[[str], None]:
    """Not more often than anybody can read."""
    last_s = 0.0

    def tell(text: str) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if now_s - last_s >= _EVERY_S:
            last_s = now_s
            progress.say("fetch", {"doing": doing, "text": text})

    return tell
