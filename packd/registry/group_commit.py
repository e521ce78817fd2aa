"""Group commit: one flush of SQLite's write-ahead log for all transactions that are waiting for the disk.

A commit by itself only writes to the log. Whoever asked for a durable one then waits here, and no longer holds what the
next writer waits for: while one flush is under way others commit, and the next flush is for all of them together. It
reaches every commit that returned before it began, since each stands behind the others in the same file.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from packd.registry.broken import NotOnDisk
from packd.registry.flushing import flush

if TYPE_CHECKING:
    from pathlib import Path


class GroupCommit:
    """Of one database. Commits come one at a time, waiting is for any number of threads."""

    def __init__(self, database: Path) -> None:
        """Its log is opened when the first transaction waits: by then there is one."""
        self._database = database
        self._log = database.with_name(f"{database.name}-wal")
        self._opened: int | None = None
        self._changed = threading.Condition()
        self._begun = 0  # durable commits so far, with the one that is being made
        self._ended = 0  # those that have returned, well or not
        self._flushed = 0  # those that are on the disk
        self._flushing = False
        self._lost: list[tuple[range, OSError]] = []  # those that the disk could not keep, and what it said

    def begin(self) -> int:
        """A commit that has to be durable follows: its number. Nobody else commits before `end`."""
        self._begun += 1
        return self._begun

    def end(self) -> None:
        """It returned, or failed."""
        with self._changed:
            self._ended = self._begun
            self._changed.notify_all()

    def wait(self, number: int) -> None:
        """Until this commit is on the disk. Raises NotOnDisk when the disk fails: made it is even so."""
        self._wait(number)
        for numbers, trouble in self._lost:
            if number in numbers:
                raise NotOnDisk(str(self._database), trouble) from trouble

    def wait_for_all(self, timeout_s: float | None) -> bool:
        """Until everything that can be read now is on the disk, as far as the disk takes it; False on time-out.

        Whoever has committed flushes; here it is only waited for.
        """
        number = self._begun
        if self._flushed >= number:
            return True
        with self._changed:
            return self._changed.wait_for(lambda: self._flushed >= number, timeout_s)

    def _wait(self, number: int) -> None:
        while self._flushed < number:
            with self._changed:
                self._changed.wait_for(lambda: self._flushed >= number or self._is_ready(number))
                if self._flushed >= number:
                    return
                self._flushing, reached = True, self._ended
            try:
                self._flush()
            except OSError as trouble:  # said once: a second flush would succeed, and keep nothing of these
                self._lost.append((range(self._flushed + 1, reached + 1), trouble))
            with self._changed:
                self._flushed, self._flushing = reached, False
                self._changed.notify_all()

    def close(self) -> None:
        """After `wait_for_all`, and with nobody who goes on committing."""
        if self._opened is not None:
            os.close(self._opened)
            self._opened = None

    def _is_ready(self, number: int) -> bool:
        return self._ended >= number and not self._flushing

    def _flush(self) -> None:
        if self._opened is None:
            self._opened = os.open(self._log, os.O_RDONLY | os.O_CLOEXEC)
            flush(self._log.parent)  # so that a log which is new is found again
        os.fdatasync(self._opened)
