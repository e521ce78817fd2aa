"""One connection to an endpoint: an answer is what comes behind its request, and its head comes to an end.

aiohttp by itself takes whatever lies on a kept connection for the answer to the next request, and while informational
answers (1xx) come, it reads them before anything else that its event loop has to do.
"""

from __future__ import annotations

import functools
import re
import select
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

if TYPE_CHECKING:
    import asyncio

    from aiohttp import StreamReader
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.http import RawResponseMessage

HEAD_LIMIT: Final = 32 * 1024  # bytes of an answer's head, the informational answers before it included
_END: Final = re.compile(rb"\n\r?\n")  # of a head: an empty line


class Unsent(aiohttp.ClientConnectionError):
    """A kept connection turned out to be of no use before anything of the request was sent: another one will do."""


class Garbled(aiohttp.ClientPayloadError):
    """The body of an answer is not what HTTP has."""


class Line(ResponseHandler):
    """Knows from when to when an answer is waited for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._answer: StreamReader | None = None  # the body of the last one
        self._awaits_head = False
        self._head_left = 0  # bytes in which it must end
        self._end = b""  # its last bytes so far

    def is_connected(self) -> bool:
        """The pool asks before it gives a kept connection away, and looks at nothing else."""
        return super().is_connected() and not self.should_close and not self._has_unread()

    def asks(self) -> bool:
        """To be called right before a request is written; if False, it must not be: whoever reads hears why."""
        if self._answer is not None and (not super().is_connected() or self._has_unread()):
            self._give_up(Unsent())
        if self.exception() is not None:
            return False
        self._awaits_head, self._head_left, self._end = True, HEAD_LIMIT, b""
        return True

    def data_received(self, data: bytes) -> None:
        if self._awaits_head:
            data = self._head_received(data)
            if not data:
                return
        if not data or (self._answer is not None and not self._answer.is_eof()):  # without data: reading goes on
            super().data_received(data)
            self._say_what_is_wrong()
        elif self._answer is not None:
            self._give_up(Unsent())
        else:
            self._give_up(HttpProcessingError(message="it came before the request"))

    def _head_received(self, data: bytes) -> bytes:
        """What came behind the head, if it has ended: given to aiohttp with it, it could spoil an answer that is whole."""
        while data and self._awaits_head and self.exception() is None:
            head, data = self._up_to_its_end(data)
            self._head_left -= len(head)
            super().data_received(head)
            if self._awaits_head and not self._head_left and self.exception() is None:
                self._give_up(HttpProcessingError(message=f"its head does not end within {HEAD_LIMIT // 1024} KiB"))
        return b"" if self._awaits_head or self.exception() is not None else data

    def _up_to_its_end(self, data: bytes) -> tuple[bytes, bytes]:
        """The part of a head that came, informational answers by themselves, and what came behind it."""
        found = _END.search(self._end + data)
        length = found.end() - len(self._end) if found else len(data)
        length = min(length, self._head_left)
        self._end = b"" if found else (self._end + data)[-2:]
        return data[:length], data[length:]

    def _say_what_is_wrong(self) -> None:
        """Whoever reads the body would wait for its end, which can't be found."""
        wrong, body = self.exception(), self._answer
        if isinstance(wrong, HttpProcessingError) and body is not None and not body.is_eof():
            body.set_exception(Garbled(wrong.message))

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Called by `super().data_received` with every head that it has read."""
        message, body = data
        is_informational = 100 <= message.code < 200 and message.code != 101  # as aiohttp has it
        if self._awaits_head and not is_informational:
            self._answer, self._awaits_head = body, False
        super().feed_data(data, size)

    def _has_unread(self) -> bool:
        """The end of the connection, or bytes that nobody asked for, of which the event loop did not tell yet."""
        place = None if self.transport is None else self.transport.get_extra_info("socket")
        if place is None:
            return False
        poll = select.poll()
        poll.register(place.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def _give_up(self, error: Exception) -> None:
        """Nothing more is sent or read here. An answer that was read already remains one."""
        self.set_exception(error)
        if self.transport is not None:
            self.transport.abort()


class Request(aiohttp.ClientRequest):
    """Asks on a `Line`."""

    @property
    def connection_key(self) -> ConnectionKey:
        """By URL: behind one host and port may be many receivers, and none of them answers for another."""
        return super().connection_key._replace(proxy_headers_hash=hash(self.url))

    async def write_bytes(
        self, writer: AbstractStreamWriter, conn: Connection, content_length: int | None = None
    ) -> None:
        if isinstance(conn.protocol, Line) and conn.protocol.asks():
            await super().write_bytes(writer, conn, content_length)


class Lines(aiohttp.TCPConnector):
    """Keeps them."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        line: type[ResponseHandler] = Line
        self._factory = functools.partial(line, loop=self._loop)
