"""The markers beside a drop: what became of it, in plain words, where it was dropped.

Others write to the packs directory, too. A marker is known by its last lines, which packd writes; whatever else lies
under that name is somebody's and stays. Nothing is opened there that has no end, makes its reader wait or leads away.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import structlog

from packd.domain.printing import clean
from packd.flow.packs_folder import identity_in_words
from packd.snapshot.copying import READ, WRITE
from packd.watch.scan import MARKER_SUFFIXES, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

log = structlog.get_logger(__name__)

Mode = Literal["failed", "all", "none"]
Found = Literal["nothing", "this", "another of ours", "somebody's"]

_WRITING_TAKES_S: Final = 60.0  # at most
_FOR_EVERYBODY: Final = 0o644  # who may look into the packs directory
_UNNAMED: Final = ".packd-marker-"  # what the name of one begins with that is being written
_SUFFIXES: Final[dict[Mode, tuple[str, ...]]] = {"failed": (".failed",), "all": MARKER_SUFFIXES, "none": ()}
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
_PEEK: Final = 512  # bytes: a line, or a signature, with any name of a drop
_SIGNATURE = "\nWritten by packd about '{drop}'; it is removed when it is not true any more.\n"
_NOT_OURS: Final = "packd did not write what lies there, or somebody changed it: it is neither replaced nor removed"
_ELSEWHERE: Final = "move it elsewhere if packd's marker shall be there; `packd why` says the same meanwhile"
_SHORTER: Final = "give the drop a shorter name; `packd why` says the same meanwhile"
_INSTEAD: Final = "`packd why` says the same meanwhile"
# How they began before they were signed.
_UNSIGNED = re.compile(
    rb"[a-z][a-z0-9_-]*#\d+ (\(version [^)\n]*\) )?(is active since |was rolled back |was rejected by validation; "
    rb"|could not be tested and was rolled back; |did not pass its own tests and was rolled back; )"
)


class Markers:
    """Writes `<drop>.failed` and, when asked to, `<drop>.active`; nothing where the folder is read-only."""

    def __init__(self, packs_dir: Path, mode: Mode, *, known_as: Callable[[], str | None] = lambda: None) -> None:
        """`known_as` says which folder is the packs directory; None: whichever lies at the path.

        Nothing is written into any other, such as the mount point of a volume that is away.
        """
        self._packs_dir = packs_dir
        self._mode = mode
        self._known_as = known_as
        self.owed: set[str] = set()  # drops of which one was not written, or taken away, and may be later
        self._said: dict[Path, Hashable] = {}  # marker → what the log said of it last, so that it is said once
        self._shown: dict[str, int] = {}  # drop → the number of who showed something beside it last
        self._one_at_a_time = threading.Lock()

    def follow(self, mode: Mode) -> None:
        """Write these from now on; those that are there are put right when they are next looked at."""
        self._mode = mode

    @property
    def tells_of_failed(self) -> bool:
        """Is there a marker for drops that were refused?"""
        return self._mode != "none"

    @property
    def tells_of_active(self) -> bool:
        """Is there a marker for packs that are in use, too?"""
        return self._mode == "all"

    @property
    def may_be_written(self) -> bool:
        """Is the packs directory there, and not read-only?"""
        return os.access(self._packs_dir, os.W_OK | os.X_OK, effective_ids=True)

    def beside(self) -> set[str]:
        """The names of drops beside which something lies that may be a marker."""
        try:
            names = os.listdir(self._packs_dir)
        except OSError:
            return set()
        for name in names:
            if name.startswith(_UNNAMED):
                self._remove_left(self._packs_dir / name)
        return {name.rpartition(".")[0] for name in names if name.endswith(MARKER_SUFFIXES)}

    def _remove_left(self, fresh: Path) -> None:
        """What a crash left half written; one that is being written is younger than that."""
        with suppress(OSError):
            if time.time() - os.lstat(fresh).st_mtime > _WRITING_TAKES_S:
                fresh.unlink()

    def show(self, drop: str, *, failed: str | None, active: str | None, number: int) -> None:
        """Make the markers of `drop` say this; None, or a marker that nobody asked for, takes one away.

        `number`: taken before that was asked, as for links. Where somebody with a later one was quicker, he knew better.
        """
        wanted = _SUFFIXES[self._mode]
        with self._one_at_a_time:
            if self._shown.get(drop, 0) > number:
                return
            self._shown[drop] = number
            for suffix, text in zip(MARKER_SUFFIXES, (failed, active), strict=True):
                self._set(drop, suffix, text if suffix in wanted else None)

    def clear(self, drop: str, *, number: int) -> None:
        """Take them away."""
        self.show(drop, failed=None, active=None, number=number)

    def _set(self, drop: str, suffix: str, text: str | None) -> None:
        path = self._packs_dir / f"{drop}{suffix}"
        signature = _bytes(_SIGNATURE.format(drop=drop))
        content = None if text is None else _bytes(text) + signature
        try:
            found = _look(path, drop, signature, content)
            if found == "somebody's":
                self._leave(path, suffix)
                return
            if content is None and found != "nothing":
                path.unlink(missing_ok=True)
            elif content is not None and found != "this":
                self._write(drop, path, content)
            self._said.pop(path, None)
        except OSError as failure:
            if failure.errno != errno.ENAMETOOLONG:
                self.owed.add(drop)
            if failure.errno not in _READ_ONLY and self._is_news(path, ("not written", content)):
                fix = _SHORTER if failure.errno == errno.ENAMETOOLONG else _INSTEAD
                log.warning("marker.not_written", path=str(path), error=str(failure), fix=fix)

    def _leave(self, path: Path, suffix: str) -> None:
        """It is not ours to replace or to remove; who would look for a marker there is told."""
        if suffix in _SUFFIXES[self._mode] and self._is_news(path, "somebody's"):
            log.warning("marker.left_alone", path=str(path), detail=_NOT_OURS, fix=_ELSEWHERE)

    def _is_news(self, path: Path, said: Hashable) -> bool:
        before, self._said[path] = self._said.get(path), said
        return before != said

    def _write(self, drop: str, path: Path, content: bytes) -> None:
        """Whole or not at all: a reader never sees half a sentence. Under a name first that nobody can have taken."""
        with opened(self._packs_dir) as folder:
            if self._known_as() not in (None, identity_in_words(folder)):
                self.owed.add(drop)
                return
            fresh = f"{_UNNAMED}{secrets.token_hex(8)}"
            try:
                with os.fdopen(os.open(fresh, WRITE, 0o600, dir_fd=folder), "wb") as file:
                    file.write(content)
                    os.fchmod(file.fileno(), _FOR_EVERYBODY)  # whatever the umask: for whoever dropped the pack
                os.replace(fresh, path.name, src_dir_fd=folder, dst_dir_fd=folder)
            except OSError:
                with suppress(FileNotFoundError):
                    os.unlink(fresh, dir_fd=folder)
                raise


def _look(path: Path, drop: str, signature: bytes, content: bytes | None) -> Found:
    """What lies there? Raises OSError when that can't be said."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return "somebody's"
        opened = os.open(path, READ)
    except OSError as failure:
        return _unseen(path, failure)
    try:
        return _read(opened, drop, signature, content)
    finally:
        os.close(opened)


def _unseen(path: Path, failure: OSError) -> Found:
    if failure.errno in (errno.ENOENT, errno.ENAMETOOLONG):  # nothing can ever have a name that is too long
        return "nothing"
    if failure.errno == errno.EACCES and os.path.lexists(path):
        return "somebody's"
    raise failure


def _read(opened: int, drop: str, signature: bytes, content: bytes | None) -> Found:
    """No more of it than what it is compared with: it may be of any size."""
    seen = os.fstat(opened)
    if not stat.S_ISREG(seen.st_mode):
        return "somebody's"
    if content is not None and seen.st_size == len(content) and os.pread(opened, len(content) + 1, 0) == content:
        return "this"
    end = os.pread(opened, _PEEK, max(0, seen.st_size - _PEEK))
    is_ours = end.endswith(signature) or _is_unsigned(os.pread(opened, _PEEK, 0), end, drop)
    return "another of ours" if is_ours else "somebody's"


def _is_unsigned(begin: bytes, end: bytes, drop: str) -> bool:
    """Was it written before markers were signed? All but their first line were indented."""
    if not end.rstrip(b"\n").rpartition(b"\n")[2].startswith(b"  "):
        return False
    return begin.startswith(_bytes(f"What lies in '{drop}' was refused")) or _UNSIGNED.match(begin) is not None


def _bytes(text: str) -> bytes:
    """People `cat` it: what a pack, or a name of one of its files, says to a terminal is not passed on."""
    return clean(text).encode()
