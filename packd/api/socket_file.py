"""The Unix socket as a file: made with its mode, cleared away when a dead daemon left it, told apart by its identity."""

from __future__ import annotations

import errno
import os
import socket
import stat
import time
from typing import TYPE_CHECKING, Final

from packd.domain.failures import Code, Failure

if TYPE_CHECKING:
    from pathlib import Path

_LONGEST_PATH: Final = 107  # bytes: sun_path of unix(7) without its closing zero
_MODE: Final = 0o660
_ENDING_TAKES_S: Final = 2.0  # the processes of a daemon that was killed, on a busy machine
_AGAIN_S: Final = 0.01


def bind(path: Path) -> socket.socket:
    """A socket that nobody can connect to yet, with its mode set before anybody can.

    To be called with the daemon's lock held: a file that nobody answers at is taken to be a dead daemon's.
    Raises Failure; the message says why and what to do.
    """
    if len(os.fsencode(path)) > _LONGEST_PATH:
        sentence = (
            f"the socket's path is too long, a Unix socket takes {_LONGEST_PATH} bytes: {path}; give a shorter --socket"
        )
        raise Failure(Code.BAD_REQUEST, sentence)
    _clear(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(os.fspath(path))
        path.chmod(_MODE)
    except OSError as failure:
        bound.close()
        raise Failure(
            Code.BAD_REQUEST, f"can't make the socket {path}: {failure.strerror}; choose another with --socket"
        ) from failure
    return bound


def identity(path: Path) -> tuple[int, int] | None:
    """(device, inode) of what lies there, so that somebody else's is not taken for ours; None when nothing does."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _clear(path: Path) -> None:
    """Remove what a dead daemon left.

    Raises Failure when it is something else, or when somebody answers.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    except OSError as failure:
        raise Failure(Code.BAD_REQUEST, f"can't look at the socket {path}: {failure.strerror}") from failure
    if not stat.S_ISSOCK(found.st_mode):
        raise Failure(Code.BAD_REQUEST, f"{path} is there and is no socket: remove it, or choose another with --socket")
    if _goes_on_answering(path):
        raise Failure(Code.CONFLICT, f"another daemon answers at {path}: stop it, or choose another with --socket")
    path.unlink(missing_ok=True)


def _goes_on_answering(path: Path) -> bool:
    """The scout of a daemon that was killed a moment ago ends with it, but not in the same instant."""
    deadline = time.monotonic() + _ENDING_TAKES_S
    while _answers(path):
        if time.monotonic() > deadline:
            return True
        time.sleep(_AGAIN_S)
    return False


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.settimeout(1.0)
        code = caller.connect_ex(os.fspath(path))
    return code not in (errno.ECONNREFUSED, errno.ENOENT)
