"""When a folder was made, which `os.stat` of Python does not tell before 3.15, with nothing but the C library."""

from __future__ import annotations

import ctypes
import struct
from typing import Final

_AT_EMPTY_PATH: Final = 0x1000  # the descriptor itself is meant
_STATX_BTIME: Final = 0x800
_SIZE: Final = 256  # of struct statx, see statx(2)
_MASK: Final = struct.Struct("=I")  # what of it was filled in
_BIRTH: Final = struct.Struct("=qI")  # seconds and nanoseconds
_BIRTH_AT: Final = 80

_statx: Final = getattr(ctypes.CDLL(None), "statx", None)


def birth_ns(opened: int) -> int:
    """Unix time of the birth of what is open as this descriptor; 0 where the file system does not know."""
    told = ctypes.create_string_buffer(_SIZE)
    if _statx is None or _statx(opened, b"", _AT_EMPTY_PATH, _STATX_BTIME, told) != 0:
        return 0
    if not _MASK.unpack_from(told)[0] & _STATX_BTIME:
        return 0
    seconds, nanoseconds = _BIRTH.unpack_from(told, _BIRTH_AT)
    return int(seconds) * 10**9 + int(nanoseconds)
