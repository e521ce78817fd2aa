"""Stopping a run from another thread."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class CancelToken:
    """One run's stop button. May be pressed from any thread, any number of times, before, during or after the run."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._reason: str | None = None
        self._wakers: list[Callable[[], None]] = []

    @property
    def reason(self) -> str | None:
        """Why it was pressed, as a sentence; None while it was not."""
        return self._reason

    @property
    def cancelled(self) -> bool:
        return self._reason is not None

    def cancel(self, reason: str) -> None:
        """Stop the run. The first reason stays."""
        with self._lock:
            if self._reason is not None:
                return
            self._reason = reason
            for wake in self._wakers:  # under the lock: a block that is being left waits, so nothing is woken too late
                wake()

    def on_cancel(self, wake: Callable[[], None]) -> None:
        """Call `wake` when the button is pressed, in the thread that presses; at once if it was pressed already."""
        with self._lock:
            if self._reason is None:
                self._wakers.append(wake)
                return
        wake()

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Iterator[None]:
        """As `on_cancel`, but only within the block: once it is left, `wake` is not called any more."""
        self.on_cancel(wake)
        try:
            yield
        finally:
            with self._lock:
                if wake in self._wakers:
                    self._wakers.remove(wake)
