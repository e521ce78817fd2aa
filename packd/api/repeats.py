"""`Idempotency-Key`: a request that changes something is carried out once, however often it arrives."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

import structlog
from anyio import CancelScope
from anyio.to_thread import run_sync

from packd.api.problems import refusal
from packd.domain.failures import Code, Failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from packd.flow.once import Once
    from packd.registry.rows import Kept

log = structlog.get_logger(__name__)

_HEADER: Final = b"idempotency-key"
_WRITING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_LONGEST: Final = 255
_NOT_FINAL: Final = (401, 408, 429)  # and whatever is packd's own trouble: asking again may go better


class Repeats:
    """ASGI middleware, behind the one that says who asks."""

    def __init__(self, app: ASGIApp, once: Once) -> None:
        self._app = app
        self._once = once

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = _key_of(scope)
        if key is None:
            await self._app(scope, receive, send)
            return
        try:
            await self._carry_out(scope, receive, send, key)
        except Failure as failure:
            answer = refusal(failure, instance=scope["path"], request_id=scope["state"]["request_id"])
            await answer(scope, receive, send)

    async def _carry_out(self, scope: Scope, receive: Receive, send: Send, key: str) -> None:
        if not 0 < len(key) <= _LONGEST or not key.isprintable():
            raise Failure(Code.BAD_REQUEST, f"Idempotency-Key: 1 to {_LONGEST} printable characters, e.g. a UUID")
        actor, fingerprint = _owner(scope), _fingerprint(scope, scope["state"]["body"])
        given = await run_sync(self._once.begin, actor, key, fingerprint)
        if given is not None:
            await _replay(given, send)
            return
        answer = _Noted(send, keep=lambda noted: self._keep(actor, key, noted))
        try:
            await self._app(scope, receive, answer.send)
        finally:
            if not answer.ended:
                with CancelScope(shield=True):
                    await run_sync(self._once.forget, actor, key)

    def _keep(self, actor: str, key: str, answer: _Noted) -> None:
        if answer.is_final:
            self._once.end(actor, key, status=answer.status, headers=answer.headers, body=bytes(answer.body))
        else:
            self._once.forget(actor, key)


class _Noted:
    """Passes the answer on, and keeps it, before the caller has all of it: who has the answer may ask again."""

    def __init__(self, send: Send, keep: Callable[[_Noted], None]) -> None:
        self._send = send
        self._keep = keep
        self.status = 0
        self.headers: tuple[tuple[str, str], ...] = ()
        self.body = bytearray()
        self.ended = False

    @property
    def is_final(self) -> bool:
        """It is no stream, and would be the same the next time."""
        streamed = any(value.startswith("text/event-stream") for name, value in self.headers if name == "content-type")
        return not streamed and self.status < 500 and self.status not in _NOT_FINAL

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = tuple(
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]
            )
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")
            if not message.get("more_body", False):
                try:
                    await run_sync(self._keep, self)
                except Exception:  # the caller gets the answer all the same; who asks again asks anew
                    log.exception("api.answer_not_kept")
                self.ended = True
        await self._send(message)


async def _replay(given: Kept, send: Send) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in given.headers or ()]
    start = {
        "type": "http.response.start",
        "status": given.status,
        "headers": [*headers, (b"idempotency-replayed", b"true")],
    }
    await send(start)
    await send({"type": "http.response.body", "body": given.body or b""})


def _key_of(scope: Scope) -> str | None:
    if scope["type"] != "http" or scope["method"] not in _WRITING:
        return None
    found = next((value for name, value in scope["headers"] if name.lower() == _HEADER), None)
    return None if found is None else found.decode("latin-1").strip().strip('"')


def _owner(scope: Scope) -> str:
    """A peer that repeats itself may be another process by then: its user is what counts."""
    caller = scope["state"]["caller"]
    return f"uid={caller.uid}" if caller.uid is not None else str(caller.name)


def _fingerprint(scope: Scope, body: bytes) -> str:
    """Of the method, the path and what the body says; how the JSON is written does not matter."""
    try:
        said = json.dumps(json.loads(body), sort_keys=True).encode() if body else b""
    except (ValueError, RecursionError):  # whoever answers says what is wrong with it
        said = body
    head = f"{scope['method']} {scope['path']}?{scope['query_string'].decode('latin-1')}\n".encode(
        "utf-8", "surrogateescape"
    )
    return hashlib.sha256(head + said).hexdigest()
