"""Those who follow events on this server, woken in its event loop by commits in other threads."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from packd.flow.feed import Feed


class Tail:
    """One listener of the feed for any number of streams. All but `close` runs in the event loop."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._waiting = 0  # how many wait; while nobody does, the loop is left alone
        self._changed = asyncio.Event()  # replaced by a fresh one whenever it is set, so that it wakes everybody once
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = asyncio.Event()
        self._on_close: list[Callable[[], None]] = []

    @property
    def closing(self) -> bool:
        """The server is about to stop: say farewell."""
        return self._closed.is_set()

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listen from now on. Whoever reads the registry after this and then waits misses nothing."""
        self._loop = loop
        self._feed.add_listener(self._committed)

    def close(self) -> None:
        """Wake everybody for good. From any thread."""
        self._feed.remove_listener(self._committed)
        self._in_loop(self._close)

    async def wait(self, after: int, timeout_s: float) -> bool:
        """True as soon as there is an event behind `after`, or the server is closing; False on time-out."""
        self._waiting += 1  # before the feed is asked: what comes after the answer finds somebody who waits
        try:
            async with asyncio.timeout(timeout_s):
                while self._feed.newest <= after and not self.closing:
                    await self._changed.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting -= 1
        return self._feed.newest > after or self.closing

    def on_close(self, call: Callable[[], None]) -> Callable[[], None]:
        """`call` is called in the event loop when the server closes, unless what is returned was called before."""
        self._on_close.append(call)
        return lambda: self._on_close.remove(call)

    async def closed(self, timeout_s: float) -> None:
        """Returns when the server is closing, or on time-out."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._closed.wait()

    def _committed(self) -> None:
        if self._waiting:
            self._in_loop(self._wake)

    def _in_loop(self, call: Callable[[], None]) -> None:
        if self._loop is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended, and everybody with it
            self._loop.call_soon_threadsafe(call)

    def _close(self) -> None:
        self._closed.set()
        for call in self._on_close:
            call()
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
