"""Names in a path may be those of files, whose bytes need not be UTF-8: such a byte stays what it is (PEP 383)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class FileNames:
    """ASGI middleware, before every other. Servers put a replacement character where a byte is not UTF-8."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = unquote(scope["raw_path"].decode("latin-1"), errors="surrogateescape")
            scope = {**scope, "path": path}  # a copy: the server's own log can't be told of such a byte
        await self._app(scope, receive, send)
