"""How much a run's folder holds: counted a little at a time, while the suite runs."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from packd.testrun.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packd.testrun.sandbox import Order

_AT_ONCE: Final = 2_000  # entries that are looked at in one go: some milliseconds
_BLOCK: Final = 512  # bytes; what st_blocks counts in, whatever the file system (stat(2))
LEAST: Final = 4_096  # bytes that an entry counts as: names take room too, and file systems run out of inodes


class Usage:
    """Counts what lies in a folder, beside what it was given to begin with.

    What is deleted and still open is not seen, nor is what lies where no path leads.
    """

    def __init__(self, folder: Path, *, given: Path | None, most: int) -> None:
        """`most` bytes may lie in `folder` more than in `given`."""
        self._folder = folder
        self._given = given
        self._most = most
        self._allowed: int | None = None  # `most` and what was given; not known before it matters
        self._entries = _entries(folder)
        self._held = 0

    def exceeds(self) -> bool:
        """Go on counting for a moment: is there too much already? A folder that was counted through is begun anew."""
        for number, size in enumerate(self._entries, start=1):
            self._held += size
            if self._is_too_much():
                return True
            if number == _AT_ONCE:
                return False
        self._entries, self._held = _entries(self._folder), 0
        return False

    def _is_too_much(self) -> bool:
        if self._held <= self._most:
            return False
        if self._allowed is None:
            self._allowed = self._most + (sum(_entries(self._given)) if self._given is not None else 0)
        return self._held > self._allowed


def watched(order: Order) -> Usage | None:
    """For what lies in an order's folder; None where that has no limit."""
    most = order.limits.disk_mb * MIB
    return Usage(order.mark.folder, given=order.given, most=most) if most else None


def size_of(folder: Path) -> int:
    """Bytes of all that lies in it, roughly."""
    return sum(_entries(folder))


def _entries(folder: Path) -> Iterator[int]:
    """The size of everything in it. Links are not followed; what can't be looked at is left out."""
    todo = [os.fspath(folder)]
    while todo:
        with contextlib.suppress(OSError), os.scandir(todo.pop()) as found:
            for entry in found:
                with contextlib.suppress(OSError):  # gone since, but others are still there
                    yield max(entry.stat(follow_symlinks=False).st_blocks * _BLOCK, LEAST)
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
