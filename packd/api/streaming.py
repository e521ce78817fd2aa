"""Server-sent events on their way out: a reader that takes nothing for too long is cut off, and can resume elsewhere."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog
from fastapi.responses import StreamingResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Scope, Send

log = structlog.get_logger(__name__)

PATIENCE_S: Final = 30.0
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class EventStream(StreamingResponse):
    """What is not taken is at most what the socket and one write hold; then it is waited for, and not for ever."""

    def __init__(self, content: AsyncIterator[str], *, patience_s: float = PATIENCE_S) -> None:
        super().__init__(content, media_type="text/event-stream", headers=_HEADERS)
        self._patience_s = patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def patiently(message: object) -> None:
            async with asyncio.timeout(self._patience_s):
                await send(message)  # type: ignore[arg-type]
            # Of a reader that is gone the server hears when it is its turn, and asyncio warns of all that is written till then.
            await asyncio.sleep(0)

        try:
            await super().__call__(scope, receive, patiently)
        except* TimeoutError:
            log.info("stream.cut", path=scope["path"], waited_s=self._patience_s)
            abort = scope.get("state", {}).get("abort")
            if abort is not None:
                abort()
