"""Who follows events as they happen: told after each commit that there is more to read, never what it is.

Readers fetch the events themselves, behind the number they have seen last; so nothing can be missed between "what is
there already" and "what comes next", and a slow reader holds nobody up.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from packd.registry.rows import StoredEvent


class Feed:
    """Fan-out of "there is something new" to threads that wait and to listeners."""

    def __init__(self, newest: int) -> None:
        self._newest = newest
        self._changed = threading.Condition()
        self._listeners: list[Callable[[], None]] = []

    def committed(self, events: tuple[StoredEvent, ...]) -> None:
        """Called behind every transaction that emitted events."""
        with self._changed:
            self._newest = max(self._newest, events[-1].seq)
            listeners = list(self._listeners)
            self._changed.notify_all()
        for listener in listeners:
            listener()

    @property
    def newest(self) -> int:
        """The number of the newest event."""
        return self._newest

    def wait(self, after: int, timeout_s: float) -> bool:
        """True as soon as there is an event behind `after`; False on time-out."""
        with self._changed:
            return self._changed.wait_for(lambda: self._newest > after, timeout_s)

    def add_listener(self, listener: Callable[[], None]) -> None:
        """`listener` is called after each commit, in the committing thread: be quick, never raise."""
        with self._changed:
            self._listeners.append(listener)

    def remove_listener(self, listener: Callable[[], None]) -> None:
        with self._changed:
            self._listeners.remove(listener)
