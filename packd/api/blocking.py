"""Commands that wait: for a pack's turn, for its tests."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")


async def in_own_thread(work: Callable[[], Value]) -> Value:
    """What `work` returns or raises.

    A thread of its own: in the shared pool a few long test runs would keep every reader waiting, and the pool's
    threads would hold up the end of the process.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Value] = loop.create_future()

    def settle(value: Value | None, failure: BaseException | None) -> None:
        if answer.done():  # whoever asked has gone
            return
        if failure is None:
            answer.set_result(value)  # type: ignore[arg-type]
        else:
            answer.set_exception(failure)

    def run() -> None:
        value, failed = None, None
        try:
            value = work()
        except BaseException as failure:
            failed = failure
        with contextlib.suppress(RuntimeError):  # the server has stopped
            loop.call_soon_threadsafe(settle, value, failed)

    threading.Thread(target=contextvars.copy_context().run, args=(run,), name="command", daemon=True).start()
    return await answer
