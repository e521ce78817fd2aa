"""Before a request reaches its handler: is it meant for us, who sends it, may he, and is it of a size and form we take?"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from anyio.to_thread import run_sync

from packd.api.callers import Caller, peer
from packd.api.problems import refusal
from packd.domain.failures import Code, Failure
from packd.domain.rates import Bucket, Rate, full_in_s, next_in_s, take
from packd.domain.tokens import includes, scope_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from packd.registry.rows import Token

_WRITING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_TRUSTED_SITES: Final = frozenset({"same-origin", "none"})
_CALLERS_REMEMBERED: Final = 4096
_RATE: Final = Rate(quota=600, window_s=60.0)
_LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, kw_only=True)
class Access:
    """The rules of this door, as the settings say."""

    check_token: Callable[[str], Token] | None = None  # raises Failure; None: nobody may come by TCP
    hosts: frozenset[str] = frozenset()  # by which names we are called on TCP, without ports, lower case
    most_body: int = 1024 * 1024  # bytes
    rate: Rate = _RATE  # of each caller on TCP


class Guard:
    """ASGI middleware. A peer of the Unix socket may do everything: who can connect was decided by its file's mode."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        limits: dict[str, str] = {}
        try:
            caller = await self._admit(scope, headers, limits)
            body = await self._body(scope, headers, receive)
        except Failure as failure:
            answer = refusal(failure, instance=scope["path"], request_id=scope["state"]["request_id"])
            answer.headers.update(limits)
            await answer(scope, receive, send)
            return
        scope["state"]["caller"] = caller
        scope["state"]["body"] = body
        again = receive if body is None else replayed(body, receive)
        await self._app(scope, again, _adding(limits, send) if limits else send)

    # --- who and how often -------------------------------------------------------------------------------------------

    async def _admit(self, scope: Scope, headers: Mapping[str, str], limits: dict[str, str]) -> Caller:
        client = scope.get("client")
        known = peer(client[0] if client else None)
        if known.uid is not None and "authorization" not in headers:
            return known
        if known.uid is None:
            self._check_host(headers)
        wanted = scope_for(scope["method"], scope["path"])
        if wanted is None:
            return known
        try:
            caller = await self._bearer(headers)
        except Failure:
            self._count(f"stranger {known.name}", limits)  # guessing is slow, whoever it is
            raise
        scope["state"]["caller"] = caller  # for the audit also when what follows refuses it
        self._count(caller.name, limits)
        if not includes(caller.scopes or frozenset(), wanted):
            said = f"{caller.name} may not do this: it needs the scope {wanted}"
            raise Failure(Code.FORBIDDEN, said, members={"scope": wanted})
        return caller

    async def _bearer(self, headers: Mapping[str, str]) -> Caller:
        scheme, _, text = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not text.strip():
            raise Failure(
                Code.UNAUTHORIZED,
                "a token is needed here, also on loopback: send `Authorization: Bearer pkd_…`; "
                "`packd token create` on the daemon's machine makes one",
            )
        check = self._access.check_token
        if check is None:
            raise Failure(Code.UNAUTHORIZED, "no token opens anything here")
        token = await run_sync(check, text.strip())
        return Caller(name=f"token:{token.name}", scopes=frozenset(token.scopes))

    def _check_host(self, headers: Mapping[str, str]) -> None:
        """Against DNS rebinding: a page of somebody else's may resolve its own name to our address."""
        host = headers.get("host", "")
        if _name_of(host) not in self._access.hosts:
            known = ", ".join(sorted(self._access.hosts)) or "none"
            raise Failure(
                Code.MISDIRECTED_REQUEST,
                f"nobody here is called {host!r}; known names: {known}. More of them with the setting api.hosts",
            )

    def _count(self, name: str, limits: dict[str, str]) -> None:
        """Raises Failure TOO_MANY_REQUESTS. The headers are those of draft-ietf-httpapi-ratelimit-headers-10."""
        rate, now_s = self._access.rate, time.monotonic()
        bucket, may = take(rate, self._buckets.pop(name, None), now_s)
        self._buckets[name] = bucket
        while len(self._buckets) > _CALLERS_REMEMBERED:
            self._buckets.popitem(last=False)
        limits["RateLimit-Policy"] = f'"default";q={rate.quota};w={rate.window_s:.0f}'
        limits["RateLimit"] = f'"default";r={int(bucket.left)};t={full_in_s(rate, bucket):.0f}'
        if not may:
            wait_s = max(1, round(next_in_s(rate, bucket) + 0.5))
            said = f"{rate.quota} requests in {rate.window_s:.0f} s are allowed: ask again in {wait_s} s"
            raise Failure(Code.TOO_MANY_REQUESTS, said, members={"retry_after": wait_s})

    # --- what --------------------------------------------------------------------------------------------------------

    async def _body(self, scope: Scope, headers: Mapping[str, str], receive: Receive) -> bytes | None:
        """All of it, so that nobody else has to think of how much there may be; None: nothing is to be changed."""
        if scope["method"] not in _WRITING:
            return None
        _check_site(headers)
        length = headers.get("content-length", "0")
        if length.isascii() and length.isdigit() and int(length) > self._access.most_body:
            raise _too_large(self._access.most_body)
        has_body = length != "0" or "transfer-encoding" in headers
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if has_body and kind != "application/json":
            said = f"send JSON, with `Content-Type: application/json`; this is {kind or 'without a type'}"
            raise Failure(Code.UNSUPPORTED_MEDIA_TYPE, said)
        return await _whole(receive, self._access.most_body) if has_body else b""


def _check_site(headers: Mapping[str, str]) -> None:
    """A browser says where the page is from that makes it write; only our own pages may (there is no CORS)."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if site is not None and site not in _TRUSTED_SITES:
        raise Failure(Code.FORBIDDEN, f"a page of another site may not change anything here (Sec-Fetch-Site: {site})")
    if origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        raise Failure(Code.FORBIDDEN, f"a page of another site may not change anything here (Origin: {origin})")


async def _whole(receive: Receive, most: int) -> bytes:
    """What is sent in pieces has no length that could be looked at before."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > most:
            raise _too_large(most)
        more = message.get("more_body", False)
    return bytes(body)


def replayed(body: bytes, receive: Receive) -> Receive:
    """The body once more, then whatever else there is to hear."""
    given = False

    async def receiving() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving


def names(listen: str | None, hosts: tuple[str, ...]) -> frozenset[str]:
    """By which names a daemon that listens there may be called."""
    if listen is None:
        return frozenset()
    own = _name_of(listen)
    local = _LOOPBACK if own in _LOOPBACK or own in ("0.0.0.0", "[::]") else ()  # noqa: S104
    return frozenset({own, *local, *(_name_of(host) for host in hosts)})


def _name_of(host: str) -> str:
    """Without the port, lower case; an IPv6 address keeps its brackets."""
    name = host.strip().lower()
    head, colon, tail = name.rpartition(":")
    return head if colon and tail.isdigit() and (name.startswith("[") or ":" not in head) else name


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def _too_large(most: int) -> Failure:
    return Failure(Code.CONTENT_TOO_LARGE, f"a request may have {most} bytes: this one has more")


def _adding(more: Mapping[str, str], send: Send) -> Send:
    pairs = [(name.lower().encode(), value.encode()) for name, value in more.items()]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *pairs]}
        await send(message)

    return sending
