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

_LOCK: Final = "packd.lock"
_ATTEMPTS: Final = 3
_PAUSE_S: Final = 0.02


class AlreadyRunning(Exception):
    """Another daemon uses this state directory; the message names its pid."""


@contextmanager
def exclusively(state_dir: Path) -> Iterator[None]:
    """Hold `packd.lock` for as long as the block lasts; the kernel lets go of it however the process ends.

    Raises AlreadyRunning, OSError.
    """
    descriptor = os.open(state_dir / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _locked(descriptor):
            raise AlreadyRunning(
                f"another packd (pid {_pid(descriptor) or 'unknown'}) uses the state directory {state_dir}: "
                "stop it first, or give this one its own with --state-dir"
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


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


def _pid(descriptor: int) -> int | None:
    said = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
    return int(said) if said.isdecimal() else None
