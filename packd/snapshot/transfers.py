"""Is something being transferred into a drop? The file that it goes into is no part of the pack yet, and what is there is
not all of it: while that file grows nothing else changes, however quiet the drop looks."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from packd.domain.ignore import is_transfer

if TYPE_CHECKING:
    import os

# Since the last was written. rsync writes 256 KiB at a time; what a killed one leaves behind is not waited for.
_STALLED_NS: Final = 10_000_000_000


class Transfers:
    """What one walk came by."""

    def __init__(self) -> None:
        self._newest_ns = 0
        self._path: str | None = None

    def passed(self, item: os.DirEntry[str], path: str) -> None:
        """By a name that is ignored. What is gone when it is looked at has become part of the pack."""
        if not is_transfer(item.name):
            return
        with suppress(OSError):
            changed_ns = item.stat(follow_symlinks=False).st_ctime_ns
            if changed_ns > self._newest_ns:
                self._newest_ns, self._path = changed_ns, path

    def under_way(self, now_ns: int) -> str | None:
        """The path that was written to last, if that was a moment before `now_ns` (Unix time)."""
        return self._path if abs(now_ns - self._newest_ns) < _STALLED_NS else None
