"""Ask the system where a name leads, without ever being held up by it."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Lookup = Callable[[str, int], list[str]]  # host, port → numeric addresses, the preferred first; raises OSError


def system_lookup(host: str, port: int) -> list[str]:
    """Numeric addresses in the system's order, with a zone where one is needed. Blocks; raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0] for *_, address in found]


async def resolve(lookup: Lookup, host: str, port: int) -> list[str]:
    """What `lookup` finds, in a thread of its own.

    A lookup can hang for half a minute and cannot be stopped. A thread of the event loop's pool would keep others
    from being looked up and the process from ending; a daemon thread keeps nobody.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def settle(found: list[str] | None, error: Exception | None) -> None:
        if answer.done():  # nobody waits any more
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(found or [])

    def work() -> None:
        found, error = _attempt(lookup, host, port)
        try:
            loop.call_soon_threadsafe(settle, found, error)
        except RuntimeError:  # the loop has been closed meanwhile
            return

    threading.Thread(target=work, name="packd-lookup", daemon=True).start()
    return await answer


def _attempt(lookup: Lookup, host: str, port: int) -> tuple[list[str] | None, Exception | None]:
    try:
        return lookup(host, port), None
    except UnicodeError:  # a label too long or empty: the name cannot exist
        return None, OSError(socket.EAI_NONAME, "not a possible name of a host")
    except Exception as error:
        return None, error
