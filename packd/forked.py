"""A process that was forked from another one of packd's, and stays in its program."""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # prctl(2)
_PR_SET_NAME: Final = 15
_STANDARD: Final = (0, 1, 2)


def stand_alone(name: str, parent: int, *, keep: tuple[int, ...]) -> None:
    """From now on this process is called `name` (15 characters are shown) and dies with `parent`, its process id.

    Of what the parent has open it holds only the descriptors in `keep`: locks and ports must be free when that is gone.
    """
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)
    with suppress(ValueError):  # not in the main thread, whose business signals are
        signal.set_wakeup_fd(-1)
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor not in (*_STANDARD, *keep):
            with suppress(OSError):
                os.close(descriptor)
