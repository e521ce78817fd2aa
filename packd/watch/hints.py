"""What the watcher says: where to look, and whether it can still see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from packd.domain.refs import archive_suffix
from packd.watch.ignored import is_alike
from packd.watch.scan import is_drop_name, subfolders

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packd.domain.ignore import Ignore

TroubleReason = Literal["overflow", "root_missing", "limit", "permission"]


@dataclass(frozen=True, kw_only=True)
class Hint:
    """Something changed here. It says where to look, never what is to be done."""

    drop: str | None  # the name of the drop; None: anything may have changed, look at everything
    whole: bool = False  # it arrived complete: one rename brought it, or an archive was closed after writing
    written: bool = False  # it is an archive that was written to, and is to be closed by whoever did
    at: float  # seconds of time.monotonic()


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Changes may go unseen until a Recovered with the same reason; told once, not repeated."""

    reason: TroubleReason
    scope: str  # path of what is not watched: the packs directory or the folder in it
    detail: str  # one sentence: what is wrong and the way out
    at: float  # seconds of time.monotonic()


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """A trouble is over; a Hint to look at everything went out before this."""

    reason: TroubleReason
    scope: str  # the same as in the Trouble
    at: float  # seconds of time.monotonic()


@dataclass(frozen=True, kw_only=True)
class WatchState:
    """The watcher at a glance."""

    alive: bool  # changes are being reported now (perhaps not of every folder: see `troubles`)
    watches: int  # folders that the kernel watches for us
    folders: int  # folders that should be watched; what is below one that can't be is not counted
    limit: int | None  # fs.inotify.max_user_watches, shared by all programs of this user; None when unknown
    troubles: tuple[Trouble, ...] = ()  # those that are not over
    last_trouble: Trouble | None = None  # the newest one, over or not
    callback_error: str | None = None  # the newest exception that a callback of ours raised; it is a bug
    supervised: bool = True  # the thread that puts right what goes wrong runs
    checked_at: float | None = None  # when it last looked, in seconds of time.monotonic(); None before the first time


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where in the packs directory a path points."""

    drop: str | None  # the drop it belongs to; None when changes there do not matter
    top: bool = False  # it is the entry of the packs directory itself, not something inside it


_ELSEWHERE = Place(drop=None)


class Sorter:
    """Turns the paths of file events into hints."""

    def __init__(self, root: str, ignore: Ignore) -> None:
        self._prefix = root.rstrip("/") + "/"
        self._ignore = ignore

    def place(self, path: str, *, plain: bool) -> Place:
        """Where `path` points; `plain` says that it is a plain file, which at the top matters only as an archive."""
        if not path.startswith(self._prefix):
            return _ELSEWHERE
        name, _, inside = path[len(self._prefix) :].partition("/")
        if not name or not is_drop_name(name, self._ignore):
            return _ELSEWHERE
        if not inside:
            matters = not plain or archive_suffix(name) is not None or is_alike(name)
            return Place(drop=name, top=True) if matters else _ELSEWHERE
        if any(self._ignore.name(part) for part in inside.split("/")):
            return _ELSEWHERE
        return Place(drop=name)

    def is_top(self, path: str) -> bool:
        """Is it an entry of the packs directory itself?"""
        return path.startswith(self._prefix) and "/" not in path[len(self._prefix) :]

    def covers(self, folder: str) -> bool:
        """Must this folder be watched? True for the root and for every folder whose content can matter."""
        return self._is_root(folder) or self.place(folder, plain=False).drop is not None

    def subfolders(self, folder: str) -> list[str]:
        """The folders directly inside `folder` that must be watched with it."""
        return subfolders(folder, self._ignore, top=self._is_root(folder))

    def _is_root(self, folder: str) -> bool:
        return folder.rstrip("/") + "/" == self._prefix


def hints_of(place: Place, *, at: float, whole: bool = False, written: bool = False) -> Iterator[Hint]:
    """What one change at `place` says; only an entry of the packs directory itself can arrive whole or be open."""
    if place.drop is not None:
        yield Hint(drop=place.drop, whole=whole and place.top, written=written and place.top, at=at)


def hints_of_move(source: Place, target: Place, *, at: float) -> Iterator[Hint]:
    """What one rename says: both ends changed, and what came from outside of every drop came whole.

    A drop that is renamed within the packs directory may still be in the middle of being written: it waits.
    """
    if source.drop != target.drop:
        yield from hints_of(source, at=at)
    yield from hints_of(target, whole=source.drop is None, at=at)
