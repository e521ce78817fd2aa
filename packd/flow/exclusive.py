"""One at a time on a state directory: the daemon, or a command that changes what is in it while no daemon runs."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

_LOCK: Final = "packd.lock"
_ATTEMPTS: Final = 3
_PAUSE_S: Final = 0.02


class AlreadyRunning(Exception):
    """Another daemon uses this state directory; the message names its pid."""


class Lock:
    """`packd.lock`, held from `with` on; the kernel lets go of it however the process ends."""

    def __init__(self, state_dir: Path) -> None:
        """Nothing is held yet."""
        self._state_dir = state_dir
        self._file = state_dir / _LOCK
        self._descriptor: int | None = None
        self.is_new = False  # nobody had it before; or the file was removed, perhaps while somebody holds it

    def __enter__(self) -> Self:
        """Raises AlreadyRunning, OSError."""
        self._descriptor = self._taken()
        self.is_new = os.fstat(self._descriptor).st_size == 0
        self._sign()
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def keep(self) -> bool:
        """Take it again under its name, if somebody removed the file; was that so?

        Raises AlreadyRunning when another was quicker, OSError when there can't be such a file any more.
        """
        if self._descriptor is None or _leads_to(self._file, self._descriptor):
            return False
        anew = self._taken()
        os.close(self._descriptor)
        self._descriptor = anew
        self._sign()
        return True

    def _taken(self) -> int:
        while True:
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if not _locked(descriptor):
                    raise AlreadyRunning(
                        f"another packd (pid {_pid(descriptor) or 'unknown'}) uses the state directory "
                        f"{self._state_dir}: stop it first, or give this one its own with --state-dir"
                    )
                if _leads_to(self._file, descriptor):
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # removed between opening and locking: the next who starts would not find it

    def _sign(self) -> None:
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)


@contextmanager
def exclusively(state_dir: Path) -> Iterator[Lock]:
    """Hold `packd.lock` for as long as the block lasts.

    Raises AlreadyRunning, OSError.
    """
    with Lock(state_dir) as lock:
        yield lock


def holder(state_dir: Path) -> int | None:
    """The process that has it now; None when nobody has. Changes nothing. Raises OSError."""
    try:
        descriptor = os.open(state_dir / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid(descriptor) or 0
    finally:
        os.close(descriptor)
    return None


def _locked(descriptor: int) -> bool:
    """Once more after a moment: it may only have been `holder` that was looking."""
    for attempt in range(_ATTEMPTS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt < _ATTEMPTS - 1:
                time.sleep(_PAUSE_S)
        else:
            return True
    return False


def _leads_to(file: Path, descriptor: int) -> bool:
    """Is what is open still what lies there?"""
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


def _pid(descriptor: int) -> int | None:
    said = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
    return int(said) if said.isdecimal() else None
