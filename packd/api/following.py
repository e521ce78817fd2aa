"""Something that goes on, as server-sent events: what was said so far, what is said next, and how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from packd.api.tail import Tail
    from packd.flow.told import Told

HEARTBEAT_S: Final = 15.0
STILL_HERE: Final = ": still here\n\n"
FAREWELL: Final = 'event: farewell\ndata: {"reason": "stopping"}\n\n'


async def follow(told: Told, tail: Tail, *, to_the_end: bool = False) -> AsyncIterator[str]:
    """Until it is over, or with a farewell until the server stops; `to_the_end` does not leave before it is over."""
    read = 0
    with _changes(told, tail) as changed:
        while True:
            over = told.over  # looked at first, so that nothing said before the end is left out
            while read < len(told.messages):
                yield message(*told.messages[read])
                read += 1
            if over:
                return
            if tail.closing and not to_the_end:
                yield FAREWELL
                return
            if not await _within(changed, HEARTBEAT_S):
                yield STILL_HERE


async def first_word(told: Told, tail: Tail) -> None:
    """Returns when something was said or it is over, at the latest when a heartbeat is due."""
    with _changes(told, tail) as changed:
        if not told.messages and not told.over:
            await _within(changed, HEARTBEAT_S)


def message(name: str, said: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(said)}\n\n"


@contextlib.contextmanager
def _changes(told: Told, tail: Tail) -> Iterator[asyncio.Event]:
    """Set, in this loop, whenever there is more to read and when the server stops."""
    loop, changed = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # the server has stopped
            loop.call_soon_threadsafe(changed.set)

    leave = tail.on_close(changed.set)
    told.listen(wake)
    try:
        yield changed
    finally:
        leave()
        told.unlisten(wake)


async def _within(changed: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(changed.wait(), seconds)
    except TimeoutError:
        return False
    changed.clear()
    return True
