"""Memory that is not needed any more, for the machine."""

from __future__ import annotations

import ctypes
from contextlib import suppress


def give_back() -> None:
    """What the C library keeps of what was freed: glibc has a heap for nearly every thread, and from the middle of one
    nothing goes back by itself (malloc_trim(3)). Takes some milliseconds. Other libraries have no such call, and need none.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
