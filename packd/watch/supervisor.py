"""Keep the watching going: notice when it goes blind, say so, put it right, and have everything looked at again.

Knows nothing of how folders are watched. What it supervises is an Observation, made anew whenever one is lost.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from packd.watch import advice
from packd.watch.hints import TroubleReason, WatchState
from packd.watch.scan import count_folders, identity_at, root_identity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from packd.domain.ignore import Ignore
    from packd.watch.telling import Teller

CLOSE_WAIT_S: Final = 2.0  # how long a lost observation may take to close before a new one is made beside it
LONGEST_PAUSE_S: Final = 60.0  # between attempts to watch what could not be watched
LONGEST_CALM_S: Final = 30.0  # before watching begins again when one overflow follows another
OVERFLOWS_APART_S: Final = 60.0  # overflows further apart than this have nothing to do with each other
FOLDERS_PER_POLL: Final = 2000  # a tree with more folders than this is polled more rarely, in proportion
NOT_PERMITTED: Final = frozenset({errno.EACCES, errno.EPERM})


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Why an observation no longer sees everything."""

    reason: TroubleReason
    detail: str  # one sentence: what is wrong and the way out


class Observation(Protocol):
    """Sees changes in one folder tree until it is lost or closed. Making one raises OSError if it can't see at all."""

    @property
    def watches(self) -> int:
        """How many folders the kernel watches for it."""

    def lost(self) -> Loss | None:
        """Why it must be replaced; None while it sees. Cheap: asked at every check."""

    def unwatched(self) -> Mapping[str, int]:
        """The folders that could not be watched, with the error number; what lies below them is not listed."""

    def tend(self) -> None:
        """Put right what renames made wrong."""

    def doubt(self, drops: list[str] | None) -> None:
        """What is watched in these drops is to be compared when it is next tended; None: in all drops."""

    def recount(self) -> None:
        """Compare with the whole tree and put right what differs."""

    def retry(self) -> None:
        """Try to watch what could not be watched."""

    def close(self) -> None:
        """See nothing any more and free everything. May take long."""


class Supervisor:
    """One thread that checks an Observation at every tick and replaces it when it is lost."""

    def __init__(
        self,
        root: Path,
        *,
        ignore: Ignore,
        teller: Teller,
        observe: Callable[[], Observation],
        check_every_s: float,
        poll_every_s: float,
    ) -> None:
        self._root = root
        self._ignore = ignore
        self._teller = teller
        self._observe = observe
        self._check_every = check_every_s
        self._poll_every = poll_every_s
        self._watching: Observation | None = None
        self._mounted = False  # the root was the top of a mounted file system when it was last watched
        self._folders = 0  # as last counted
        self._next_try = -float("inf")  # nothing that failed is tried again before this
        self._next_poll = -float("inf")
        self._pause = poll_every_s  # before the next try; doubles
        self._calm = 0.0  # before the next observation after an overflow; doubles
        self._last_overflow = -float("inf")
        self._recount_asked = threading.Event()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._checked_at: float | None = None  # monotonic
        self._thread = threading.Thread(target=self._run, name="packd-watch", daemon=True)

    def start(self) -> None:
        """When this returns, changes are seen, or it was told why not."""
        self._check_safely()
        self._thread.start()

    def stop(self) -> None:
        """No callback begins after this was called; when it returns, everything is let go."""
        self._teller.silence()
        self._stopping.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._drop()

    def wake(self) -> None:
        """Check now rather than at the next tick."""
        self._wake.set()

    def recount(self) -> None:
        """Compare what is watched with the whole tree; done by the supervisor's own thread, at once."""
        self._recount_asked.set()
        self._wake.set()

    def doubt(self, drops: list[str]) -> None:
        """Compare what is watched in these drops; done as above."""
        watching = self._watching
        if watching is not None:
            watching.doubt(drops)
            self._wake.set()

    def state(self) -> WatchState:
        watching = self._watching
        watches = watching.watches if watching else 0
        return WatchState(
            alive=watching is not None and self._thread.is_alive() and not self._stopping.is_set(),
            watches=watches,
            folders=watches + (len(watching.unwatched()) if watching else 0),
            limit=advice.kernel_setting("max_user_watches"),
            troubles=self._teller.standing,
            last_trouble=self._teller.last_trouble,
            callback_error=self._teller.callback_error,
            supervised=self._thread.is_alive(),
            checked_at=self._checked_at,
        )

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(self._check_every)
            self._wake.clear()
            if not self._stopping.is_set():
                self._check_safely()

    def _check_safely(self) -> None:
        try:
            self._check()
        except Exception as error:  # whatever went wrong, packd must not go blind without a word
            self._lose(Loss(reason="overflow", detail=f"watching broke ({error!r}); beginning again"))
        self._checked_at = time.monotonic()

    def _check(self) -> None:
        if self._watching is not None and (loss := self._watching.lost()):
            self._lose(self._unmounted() or loss)
        if self._watching is None:
            self._begin()
        else:
            self._tend(self._watching)
        self._poll()

    def _lose(self, loss: Loss) -> None:
        self._trouble(loss.reason, loss.detail)
        self._drop()
        if loss.reason == "overflow":
            now = time.monotonic()
            again = now - self._last_overflow < OVERFLOWS_APART_S
            self._calm = min(LONGEST_CALM_S, max(1.0, 2 * self._calm)) if again else 0.0
            self._last_overflow = now
            self._next_try = now + self._calm

    def _drop(self) -> None:
        """Let go of the observation. Closing one that drowns in events can take long, and nobody needs to wait."""
        if self._watching is not None:
            closing = threading.Thread(target=self._watching.close, name="packd-watch-close", daemon=True)
            self._watching = None
            closing.start()
            closing.join(CLOSE_WAIT_S)

    def _begin(self) -> None:
        try:
            identity_at(self._root)
        except OSError as failure:
            self._trouble("root_missing", advice.not_listed(self._root, failure))
            return
        if time.monotonic() < self._next_try:
            return
        try:
            self._watching = self._observe()
        except OSError as error:
            if root_identity(self._root) is not None:  # else the next check says that it is missing
                self._refused(error)
            return
        self._mounted = os.path.ismount(self._root)
        self._judge(self._watching)
        self._teller.over({"root_missing", "overflow"})

    def _unmounted(self) -> Loss | None:
        """Does the folder below a file system that was mounted show? Whether it is to be trusted is not decided here."""
        if self._mounted and root_identity(self._root) is not None and not os.path.ismount(self._root):
            return Loss(reason="root_missing", detail=advice.unmounted(self._root))
        return None

    def _refused(self, error: OSError) -> None:
        """The root itself can't be watched: what is left is to look at everything, again and again."""
        if error.errno in NOT_PERMITTED:
            self._forbidden([os.path.realpath(self._root)])
        elif error.errno in (errno.EMFILE, errno.ENFILE):
            self._count()
            self._trouble("limit", advice.too_few_instances(self._root, every_s=self._poll_interval()))
        else:
            self._limited(0, error.errno or errno.EIO)
        self._back_off()

    def _tend(self, watching: Observation) -> None:
        if self._recount_asked.is_set():
            self._recount_asked.clear()
            watching.recount()
        else:
            watching.tend()
        if watching.unwatched() and time.monotonic() >= self._next_try:
            watching.retry()
            self._back_off()
        self._judge(watching)

    def _judge(self, watching: Observation) -> None:
        """Say it when folders can't be watched, and when they all can again."""
        unwatched = watching.unwatched()
        forbidden = sorted(path for path, code in unwatched.items() if code in NOT_PERMITTED)
        if forbidden:
            self._forbidden(forbidden)
        else:
            self._teller.over({"permission"})
        limited = set(unwatched.values()) - NOT_PERMITTED
        if limited:
            self._limited(watching.watches, errno.ENOSPC if errno.ENOSPC in limited else min(limited))
        else:
            self._teller.over({"limit"})
        if not unwatched:
            self._pause = self._poll_every

    def _forbidden(self, folders: list[str]) -> None:
        """These may not be read; without the root that is all of them."""
        if folders[0] == os.path.realpath(self._root):
            self._trouble("permission", advice.root_not_permitted(self._root))
        else:
            detail = advice.not_permitted(folders, every_s=self._poll_interval())
            self._trouble("permission", detail, scope=folders[0])

    def _limited(self, watches: int, code: int) -> None:
        """Some folders can't be watched for the reason that `code` gives; `watches` are."""
        if self._teller.stands("limit"):
            return
        self._count()
        every_s = self._poll_interval()
        if code == errno.ENOSPC:  # inotify_add_watch(2): the user limit was reached
            detail = advice.too_few_watches(self._root, folders=self._folders, watches=watches, every_s=every_s)
        else:
            detail = advice.refused(self._root, code, every_s=every_s)
        self._trouble("limit", detail)

    def _trouble(self, reason: TroubleReason, detail: str, *, scope: str | None = None) -> None:
        self._teller.trouble(reason, scope=scope or str(self._root), detail=detail)

    def _back_off(self) -> None:
        self._next_try = time.monotonic() + self._pause
        self._pause = min(LONGEST_PAUSE_S, 2 * self._pause)

    def _poll(self) -> None:
        """While blind in one eye, have everything looked at now and then. A root that is missing has nothing to see."""
        now = time.monotonic()
        due = bool(self._teller.standing) and now >= self._next_poll
        if self._teller.missed or (due and not self._teller.stands("root_missing")):
            self._next_poll = now + self._poll_interval()
            self._teller.look_everywhere()

    def _poll_interval(self) -> float:
        return self._poll_every * max(1.0, self._folders / FOLDERS_PER_POLL)

    def _count(self) -> None:
        self._folders = count_folders(self._root, self._ignore)
