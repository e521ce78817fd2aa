"""Which methods a path has, over all routes that match it; and HEAD wherever there is GET (RFC 9110, 9.3.2 and 15.5.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.routing import Match

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def allowed(scope: Scope) -> list[str]:
    """Every method that is possible where this request went."""
    return [method for method in _METHODS if _has(scope, "GET" if method == "HEAD" else method)]


class Heads:
    """ASGI middleware. HEAD is answered as GET is, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD" or not _has(scope, "GET"):
            await self._app(scope, receive, send)
            return
        try:
            await self._app({**scope, "method": "GET"}, receive, _without_body(send))
        except* _Enough:
            pass


class _Enough(Exception):
    """Ends a stream, whose body would have no end."""


def _has(scope: MutableMapping[str, Any], method: str) -> bool:
    asked = {**scope, "method": method}
    return any(route.matches(asked)[0] == Match.FULL for route in scope["app"].routes)


def _without_body(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] != "http.response.body":
            await send(message)
            return
        await send({**message, "body": b"", "more_body": False})
        if message.get("more_body", False):
            raise _Enough

    return sending
