"""Around every request: its identity, one log line, and an answer even when a handler breaks."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog
from anyio.to_thread import run_sync
from starlette.routing import Route
from ulid import ULID

from packd.api.problems import problem, refusal
from packd.domain.failures import for_log, shortage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger(__name__)

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Audit:
    """ASGI middleware. What changes something is logged at info with who asked, what only reads at debug."""

    def __init__(self, app: ASGIApp, *, prefix: str, routes: Iterable[BaseRoute]) -> None:
        """`routes` are those below `prefix`."""
        self._app = app
        self._prefix = prefix
        self._of_packs = [route for route in routes if isinstance(route, Route) and route.path.startswith("/packs/{")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = f"req_{ULID()}"
        scope.setdefault("state", {})["request_id"] = request_id
        answer = _Answer(send, request_id)
        began = time.monotonic()
        try:
            await self._app(scope, receive, answer.send)
        except Exception as surprise:
            log.error("api.handler_broke", **_about(scope, request_id), **for_log(surprise))
            if answer.status is None:
                await _broken(surprise, scope, request_id)(scope, receive, answer.send)
        finally:
            say = log.debug if scope["method"] in _READING else log.info
            took_ms = round((time.monotonic() - began) * 1000, 1)
            say("api.request", **_about(scope, request_id), status=answer.status, duration_ms=took_ms)
            if scope["method"] not in _READING:
                await self._note(scope, request_id, answer.status)

    async def _note(self, scope: Scope, request_id: str, status: int | None) -> None:
        """On record, behind the answer; a registry that can't be written is no reason to break it."""
        trail = getattr(scope["app"].state.context, "trail", None)
        if trail is None:
            return
        try:
            await run_sync(partial(trail.note, **_about(scope, request_id), status=status, packs=self._packs(scope)))
        except Exception as failure:
            log.error("audit.failed", **_about(scope, request_id), **for_log(failure))

    def _packs(self, scope: Scope) -> list[str]:
        """The pack that the path names, where its route has one, also if the request never came to it; else those that
        a handler found out."""
        path = scope["path"].removeprefix(self._prefix)
        for route in self._of_packs:
            if scope["method"] in (route.methods or ()) and (found := route.path_regex.match(path)):
                return [found[1]]
        return list(scope["state"].get("packs", ()))


class _Answer:
    """Notes the status on its way out and adds the request's identity."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status: int | None = None  # None: nothing was sent

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message["headers"], (b"x-request-id", self._request_id.encode())]}
        await self._send(message)


def _about(scope: Scope, request_id: str) -> dict[str, Any]:
    client, caller = scope.get("client"), scope["state"].get("caller")
    return {
        "method": scope["method"],
        "path": scope["path"],
        "actor": caller.name if caller is not None else client[0] if client else "unknown",
        "request_id": request_id,
    }


def _broken(surprise: Exception, scope: Scope, request_id: str) -> ASGIApp:
    short = shortage(surprise)
    if short is not None:
        return refusal(short, instance=scope["path"], request_id=request_id)
    detail = f"packd broke while answering; its log has the details under {request_id}"
    return problem(500, detail, instance=scope["path"], request_id=request_id)
