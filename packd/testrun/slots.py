"""How many suites run at the same time, in all the processes that carry out runs."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from typing import Final

_LOOK_AGAIN_S: Final = 0.01


class Slots:
    """A semaphore for threads and for forked processes. What a process holds is free again when it ends, however it does.

    Each slot is a byte of a file without a name, and held by locking it (fcntl(2), record locks: they belong to the
    process, so each process has to know by itself which of them its threads hold).
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._held: set[int] = set()
        self._lock = threading.Lock()
        self.descriptor = os.memfd_create("slots", os.MFD_CLOEXEC)  # to be kept by forked processes

    def acquire(self, timeout_s: float) -> bool:
        """False when none was free for so long."""
        give_up_at = time.monotonic() + timeout_s
        while not self._take():
            if time.monotonic() >= give_up_at:
                return False
            time.sleep(_LOOK_AGAIN_S)
        return True

    def release(self) -> None:
        """Give one back that this process has taken."""
        with self._lock:
            slot = self._held.pop()
            fcntl.lockf(self.descriptor, fcntl.LOCK_UN, 1, slot)

    def close(self) -> None:
        os.close(self.descriptor)

    def _take(self) -> bool:
        with self._lock:
            for slot in range(self._number):
                if slot not in self._held and self._locked(slot):
                    self._held.add(slot)
                    return True
        return False

    def _locked(self, slot: int) -> bool:
        try:
            fcntl.lockf(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, slot)
        except (BlockingIOError, PermissionError):
            return False
        return True
