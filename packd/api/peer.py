"""One connection to a door: who is there, and how long he may keep it without asking anything.

On TCP everybody who reaches the address can connect, and a token is only looked at when a request has come. What he
holds meanwhile is a descriptor, and without descriptors nothing is read, tested or told any more.
"""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import struct
import time
from email.utils import formatdate
from functools import lru_cache
from typing import Any, Final

import structlog
from ulid import ULID
from uvicorn.protocols.http.h11_impl import H11Protocol

from packd.api.details import MEDIA_TYPE, details

log = structlog.get_logger(__name__)

REQUEST_S: Final = 10.0  # in which the head of the next request on TCP must have come
_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid: struct ucred, unix(7)
_FEWEST: Final = 16  # connections on TCP that are taken, however few descriptors there are
_CROWDED: Final = "too many connections are open here: try again in a moment"
_RETRY_AFTER_S: Final = 5
_SAID_AGAIN_S: Final = 60.0


class Peer(H11Protocol):
    """A socket's peer is called by its credentials, as the kernel tells them; an answer has the Date of its request."""

    _is_tcp = False
    _is_turned_away = False
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "abort": transport.abort}
        peer: Any = transport.get_extra_info("socket")
        if peer is not None and peer.family == socket.AF_UNIX:
            pid, uid, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
            self.client = (f"uid={uid} pid={pid}", 0)
            return
        self._is_tcp = True
        if self._is_crowded():
            self._turn_away(transport)
        else:
            self._wait_for_request()

    def data_received(self, data: bytes) -> None:
        if self._is_turned_away:
            return
        self.server_state.default_headers = [(b"date", _http_date(int(time.time())))]
        super().data_received(data)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._is_tcp and not self.transport.is_closing():
            self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)

    def _is_crowded(self) -> bool:
        most = most_on_tcp()
        return (
            len(self.connections) > most
            and sum(isinstance(one, Peer) and one._is_tcp for one in self.connections) > most
        )

    def _wait_for_request(self) -> None:
        """However slowly it drips in: uvicorn's own time begins anew with every byte."""
        if self._patience is not None:
            self._patience.cancel()
        self._patience = self.loop.call_later(REQUEST_S, self._lose_patience)

    def _lose_patience(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def _turn_away(self, transport: asyncio.Transport) -> None:
        self._is_turned_away = True
        _say_crowded(int(time.monotonic() / _SAID_AGAIN_S))
        body = json.dumps(details(503, _CROWDED, instance="/", request_id=f"req_{ULID()}")).encode()
        head = (
            f"HTTP/1.1 503 Service Unavailable\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
            f"retry-after: {_RETRY_AFTER_S}\r\nconnection: close\r\n\r\n"
        )
        transport.write(head.encode() + body)
        transport.close()


@lru_cache(maxsize=1)
def most_on_tcp() -> int:
    """Connections at once: a quarter of the descriptors that the daemon may have, which needs most of them itself."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(_FEWEST, soft // 4) if soft != resource.RLIM_INFINITY else 1 << 16


@lru_cache(maxsize=1)
def _say_crowded(_minute: int) -> None:
    """Once in each: whoever crowds it does not fill the log."""
    log.warning("api.crowded", most=most_on_tcp(), advice="more are turned away until some of them are closed")


@lru_cache(maxsize=1)
def _http_date(unix_s: int) -> bytes:
    """RFC 9110, section 5.6.7."""
    return formatdate(unix_s, usegmt=True).encode()
