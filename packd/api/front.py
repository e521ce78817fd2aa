"""What stands at the sockets: one answer from the first moment on, and every other once this door is built.

Building it means importing FastAPI and the description of every answer, which takes longer than all else of a start.
It is done when the daemon is ready, or by the first request that wants more than to know whether it is.
"""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING

import structlog
from ulid import ULID

from packd.api.details import MEDIA_TYPE, refused
from packd.api.readiness import ready
from packd.domain.failures import HTTP_STATUS, Failure
from packd.domain.health import Pulse

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from packd.domain.health import Ailment

log = structlog.get_logger(__name__)


class Front:
    """ASGI application."""

    def __init__(self, make: Callable[[], ASGIApp], ailments: Callable[[], tuple[Ailment, ...]]) -> None:
        """`make` builds the whole of this door, once, in any thread; `ailments` is asked what is wrong now."""
        self._make = make
        self._ailments = ailments
        self._building = threading.Lock()
        self._whole: ASGIApp | None = None
        self._broken = False

    def build(self) -> ASGIApp:
        """The whole door; returns at once when it is there."""
        with self._building:
            if self._whole is None:
                try:
                    self._whole = self._make()
                except BaseException:
                    self._broken = True
                    log.exception("api.not_built")
                    raise
            return self._whole

    def pulse(self) -> Pulse:
        """Dead when the door can't be built."""
        return Pulse(part="door", alive=not self._broken)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._whole is not None:
            await self._whole(scope, receive, send)
        elif _asks_for_readiness(scope):
            await self._say_readiness(scope, send)
        else:
            whole = await asyncio.to_thread(self.build)
            await whole(scope, receive, send)

    async def _say_readiness(self, scope: Scope, send: Send) -> None:
        """As the whole door will say it."""
        request_id = f"req_{ULID()}"
        try:
            # In the loop, which has nothing else to do yet: a thread would wait for its turn among those that start.
            data = ready(self._ailments())
            status, kind, body = 200, "application/json", {"data": data}
        except Failure as failure:
            status, kind = HTTP_STATUS[failure.code], MEDIA_TYPE
            body = refused(failure, instance=scope["path"], request_id=request_id)
        content = json.dumps(body, separators=(",", ":")).encode("ascii")
        headers = {"content-length": str(len(content)), "content-type": kind, "x-request-id": request_id}
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": content})


def _asks_for_readiness(scope: Scope) -> bool:
    """On the Unix socket only, which has a path and no port: callers on TCP have to pass the guard."""
    if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] != "/readyz":
        return False
    server = scope.get("server")
    return server is not None and server[1] is None
