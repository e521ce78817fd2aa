"""Where callers are received while the daemon loads what answers them: readiness is told, everybody else waits inside.

For a process of its own, with one thread. A request is looked at and not read, so that it can be handed on with its
connection to whoever answers it.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
from contextlib import suppress
from typing import Final

_ASKS: Final = (b"GET /readyz HTTP/1.1\r\n", b"GET /readyz HTTP/1.0\r\n")
_HEAD_ENDS: Final = b"\r\n\r\n"
_LONGEST_HEAD: Final = 4096  # bytes
_MOST_INSIDE: Final = 200  # callers; more wait outside
_ID_BYTES: Final = 13  # as long as the ULIDs elsewhere; to load what makes those takes as long as looking at 100 packs
_READING_TAKES_S: Final = 1.0  # a caller who does not read the answer has to do without


class Porch:
    """Call `receive` once."""

    def __init__(self, door: socket.socket) -> None:
        """`door` listens."""
        self._door = door
        self._silent: set[socket.socket] = set()  # have said nothing yet
        self._waiting: list[socket.socket] = []  # want more than to know whether packd is ready
        self._selector = selectors.DefaultSelector()

    def receive(self, until: socket.socket) -> list[socket.socket]:
        """Tells that packd is ready, until `until` has something to say; returns the connections of everybody else."""
        self._door.setblocking(False)
        self._selector.register(until, selectors.EVENT_READ)
        self._selector.register(self._door, selectors.EVENT_READ)
        while True:
            heard = [key.fileobj for key, _ in self._selector.select()]
            if until in heard:
                return [*self._waiting, *self._silent]
            for one in heard:
                if one is self._door:
                    self._let_in()
                elif isinstance(one, socket.socket):
                    self._listen_to(one)

    def _let_in(self) -> None:
        try:
            caller, _ = self._door.accept()
        except OSError:  # gone again
            return
        caller.setblocking(False)
        self._silent.add(caller)
        self._selector.register(caller, selectors.EVENT_READ)
        if len(self._silent) + len(self._waiting) >= _MOST_INSIDE:
            self._selector.unregister(self._door)

    def _listen_to(self, caller: socket.socket) -> None:
        self._selector.unregister(caller)
        self._silent.discard(caller)
        try:
            head = caller.recv(_LONGEST_HEAD, socket.MSG_PEEK)
        except OSError:
            head = b""
        if not head:
            caller.close()
        elif head.startswith(_ASKS) and head.endswith(_HEAD_ENDS):
            caller.recv(len(head))
            _say_ready(caller)
            caller.close()
        else:
            self._waiting.append(caller)


def _say_ready(caller: socket.socket) -> None:
    """As the whole door says it, but that the connection ends."""
    body = json.dumps({"data": {"status": "ready", "warnings": []}}, separators=(",", ":")).encode()
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\ncontent-type: application/json\r\n"
        f"x-request-id: req_{os.urandom(_ID_BYTES).hex()}\r\nconnection: close\r\n\r\n"
    )
    caller.settimeout(_READING_TAKES_S)
    with suppress(OSError):
        caller.sendall(head.encode() + body)
