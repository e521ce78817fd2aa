"""The kernel's queue of file events (inotify(7)) before anybody reads it, with nothing but the C library."""

from __future__ import annotations

import ctypes
import os
from typing import Final

# IN_MODIFY, IN_ATTRIB, IN_CLOSE_WRITE, IN_MOVED_FROM and _TO, IN_CREATE, IN_DELETE, IN_DELETE_SELF, IN_DONT_FOLLOW: what
# watchdog makes of `watcher.EVENTS`, which a test holds. Whoever watches a folder again must not change what it is
# watched for.
MASK: Final = (
    0x0000_0002 | 0x0000_0004 | 0x0000_0008 | 0x0000_00C0 | 0x0000_0100 | 0x0000_0200 | 0x0000_0400 | 0x0200_0000
)

_libc: Final = ctypes.CDLL(None, use_errno=True)
_add_watch: Final = _libc.inotify_add_watch
_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)


def make_queue() -> int:
    """The descriptor of a new one, which programs that are started do not inherit. Raises OSError."""
    descriptor = int(_libc.inotify_init1(os.O_CLOEXEC))  # IN_CLOEXEC is the same number
    if descriptor == -1:
        raise last_error(None)
    return descriptor


def watch(queue: int, folder: bytes) -> None:
    """From now on what changes in this folder is put into the queue. Raises OSError."""
    if _add_watch(queue, folder, MASK) == -1:
        raise last_error(folder)


def last_error(path: bytes | None) -> OSError:
    """What the last call of the C library in this thread complained about."""
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code), None if path is None else os.fsdecode(path))
