"""Send one attempt: with `line`, which only this module uses, the only door to aiohttp.

Whatever the other side does, an attempt ends in time, reads little, follows nothing, and its Outcome says in words
what happened. Retrying, ordering and recording are the caller's.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import socket
import ssl
import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Self, cast
from urllib.parse import parse_qsl, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from packd.domain.addresses import refusal
from packd.domain.deliveries import Directive, Outcome, retry_after
from packd.domain.masking import masked_url
from packd.domain.targets import headers_fault, url_fault
from packd.notify import answer, signature
from packd.notify.attempt import Attempt
from packd.notify.ed25519 import SigningKey
from packd.notify.envelope import content_type
from packd.notify.line import HEAD_LIMIT, Garbled, Lines, Request, Unsent
from packd.notify.resolver import resolve, system_lookup

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohappyeyeballs import AddrInfoType

    from packd.notify.resolver import Lookup

ANSWER_LIMIT: Final = 16 * 1024  # bytes of an answer's body that are read
_DIRECTIVES: Final = ("disable", "abort-message")

# Many servers close an idle connection after 5 s; one that is closed just when it is used again costs an attempt.
_KEEP_ALIVE_S: Final = 4.0


@dataclass(kw_only=True)
class _Answer:
    """What is known of the exchange so far: still there when it breaks off."""

    sent: list[tuple[str, str]] = field(default_factory=list)  # the request's headers
    status_line: str = ""
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    content_type: str | None = None
    retry_after: str | None = None
    directive: str | None = None

    def begins(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.status_line = f"HTTP {response.status} {response.reason or ''}".rstrip()
        self.headers = tuple(response.headers.items())
        if "content-type" in response.headers:
            self.content_type = response.content_type
        self.retry_after = response.headers.get("retry-after")
        self.directive = response.headers.get("webhook-delivery", "").strip().lower()


class Sender:
    """Sends attempts over pooled connections. Belongs to the event loop that started it.

    `user_agent` is for example `packd/0.1.0`, `clock` gives Unix seconds, `lookup` blocks and gives addresses.
    """

    def __init__(
        self, *, user_agent: str, clock: Callable[[], float] = time.time, lookup: Lookup = system_lookup
    ) -> None:
        self._user_agent = user_agent
        self._clock = clock
        self._lookup = lookup
        # By allow_private: a connection that one endpoint may have made must not serve another that may not.
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def start(self) -> None:
        """Open the pools. Nothing is connected yet."""
        self._sessions = {allow_private: self._session(allow_private) for allow_private in (False, True)}

    async def close(self) -> None:
        """Close every connection; attempts under way fail."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def send(self, attempt: Attempt) -> Outcome:
        """POST it once. Every failure is an Outcome; raises only RuntimeError when not started."""
        if not self._sessions:
            raise RuntimeError("the sender has not been started")
        if fault := url_fault(attempt.url):
            return Outcome(error=f"the URL {fault}")
        if fault := headers_fault(attempt.headers):
            return Outcome(error=fault)
        started = time.perf_counter()
        received = _Answer()
        try:
            received.sent = self._headers(attempt)
        except ValueError as fault:
            return Outcome(error=str(fault))
        error = await self._exchange(attempt, received)
        return self._outcome(attempt, received, error, (time.perf_counter() - started) * 1000)

    async def _exchange(self, attempt: Attempt, received: _Answer) -> str | None:
        """Fills `received`; why it broke off, in words, or None when the answer came whole."""
        try:
            async with asyncio.timeout(attempt.total_timeout_s):
                await self._post(attempt, received)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return _words(error, attempt, answered=received.status is not None)
        return None

    async def _post(self, attempt: Attempt, received: _Answer) -> None:
        while True:
            try:
                return await self._post_once(attempt, received)
            except Unsent:  # by a connection that was kept: there is another one, or a new one is made
                continue

    async def _post_once(self, attempt: Attempt, received: _Answer) -> None:
        async with self._sessions[attempt.allow_private].post(
            attempt.url,
            data=attempt.body,
            headers=received.sent,
            allow_redirects=False,
            timeout=_connecting_within(attempt.connect_timeout_s),
            ssl=attempt.tls or True,
        ) as response:
            received.begins(response)
            received.body = await _read(response)

    def _headers(self, attempt: Attempt) -> list[tuple[str, str]]:
        signed = signature.headers(attempt.secrets, attempt.event_id, int(self._clock()), attempt.body)
        return [
            ("Content-Type", content_type(attempt.body)),
            ("User-Agent", self._user_agent),
            ("Accept-Encoding", "identity"),
            *signed.items(),
            *attempt.headers,
        ]

    def _outcome(self, attempt: Attempt, received: _Answer, error: str | None, duration_ms: float) -> Outcome:
        return Outcome(
            status=received.status,
            error=error,
            duration_ms=round(duration_ms, 3),
            request_head=_request_head(attempt, received),
            response_head=_response_head(attempt, received),
            content_type=received.content_type,
            retry_after_s=retry_after(received.retry_after, self._clock()),
            directive=cast("Directive", received.directive) if received.directive in _DIRECTIVES else None,
        )

    def _session(self, allow_private: bool) -> aiohttp.ClientSession:
        connector = Lines(
            resolver=_Resolver(self._lookup),
            socket_factory=_socket_factory(allow_private),
            limit=0,  # how many attempts are under way is the caller's choice; waiting here would count as connecting
            keepalive_timeout=_KEEP_ALIVE_S,
        )
        return aiohttp.ClientSession(
            connector=connector,
            request_class=Request,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,  # no proxies, no .netrc
            auto_decompress=False,  # a few KiB could become gigabytes
            read_bufsize=ANSWER_LIMIT,
            max_line_size=HEAD_LIMIT,  # one limit for the whole head: how it is made up is the receiver's business
            max_field_size=HEAD_LIMIT,
        )


@lru_cache(maxsize=16)
def _connecting_within(connect_timeout_s: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=connect_timeout_s)


class _Resolver(AbstractResolver):
    """The system's resolver in the form that aiohttp asks for."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await resolve(self._lookup, host, port)
        if not found:
            raise OSError(socket.EAI_NONAME, "the name has no address")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    async def close(self) -> None:
        """Nothing is held."""


def _socket_factory(allow_private: bool) -> Callable[[AddrInfoType], socket.socket]:
    """The one place every new connection comes through, with the very address it will be made to.

    Whatever a name led to when it was looked at before, and however an address was written, is of no account here.
    """

    def make(info: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        refused = refusal(str(address[0]), allow_private=allow_private)
        if refused:
            raise PermissionError(errno.EACCES, refused)
        return socket.socket(family, kind, protocol)

    return make


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The beginning of the body. If there is more, the connection is given up rather than read to its end."""
    taken = bytearray()
    while len(taken) < ANSWER_LIMIT:
        chunk = await response.content.read(ANSWER_LIMIT - len(taken))
        if not chunk:
            return bytes(taken)
        taken += chunk
    if not response.content.at_eof():
        response.close()
    return bytes(taken)


def _request_head(attempt: Attempt, received: _Answer) -> str:
    """Of what differs from one attempt to the next nothing is secret but the signature."""
    hidden = _hidden_names(attempt.headers)
    shown = [f"{name}: {answer.HIDDEN if name.lower() in hidden else value}" for name, value in received.sent]
    beginning = answer.head(_request_line(attempt.url), (), b"", _hidden(attempt))
    text = "\n".join([beginning, *shown, f"Content-Length: {len(attempt.body)}"])
    return text[: answer.HEAD_LIMIT]


@lru_cache(maxsize=512)
def _hidden_names(own: tuple[tuple[str, str], ...]) -> frozenset[str]:
    return frozenset((signature.SIGNATURE.lower(), *(name.lower() for name, _ in own)))


@lru_cache(maxsize=512)
def _request_line(url: str) -> str:
    parts = urlsplit(masked_url(url))
    return f"POST {parts._replace(scheme='', netloc='', fragment='').geturl() or '/'} to {parts.netloc}"


def _response_head(attempt: Attempt, received: _Answer) -> str:
    if received.status is None:
        return ""
    return answer.head(received.status_line, received.headers, received.body, _hidden(attempt))


def _hidden(attempt: Attempt) -> tuple[str, ...]:
    """Whatever is to be hidden wherever it stands."""
    secrets = (_written(secret) for secret in attempt.secrets)
    return (*secrets, *(value for _, value in attempt.headers), *_in_query(attempt.url))


@lru_cache(maxsize=512)
def _in_query(url: str) -> tuple[str, ...]:
    """All of it, and each value as it is written and as it is meant."""
    query = urlsplit(url).query
    written = (part.partition("=")[2] for part in query.split("&"))
    return tuple(dict.fromkeys((query, *written, *(value for _, value in parse_qsl(query)))))


@lru_cache(maxsize=256)
def _written(secret: signature.Secret) -> str:
    """Without the word before it."""
    return base64.b64encode(secret.seed if isinstance(secret, SigningKey) else secret).decode()


def _words(error: Exception, attempt: Attempt, *, answered: bool) -> str:
    """Why the exchange broke off, as people say it."""
    match error:
        case aiohttp.ClientConnectorError() | aiohttp.ClientConnectorCertificateError():
            text = _connect_words(error)
        case aiohttp.ConnectionTimeoutError():
            text = f"no connection within {attempt.connect_timeout_s:g} s"
        case TimeoutError():
            text = f"{'the answer did not end' if answered else 'no answer'} within {attempt.total_timeout_s:g} s"
        case aiohttp.ClientResponseError():
            text = f"the answer is not HTTP as it should be: {error.message}"
        case Garbled():
            text = f"the answer is not HTTP as it should be: {error}"
        case aiohttp.InvalidURL():
            text = f"the URL cannot be used: {error.description or 'it cannot be read'}"
        case ssl.SSLError():
            text = f"TLS failed: {_ssl_words(error)}"
        case aiohttp.ClientPayloadError() | aiohttp.ClientConnectionError() | OSError():
            text = f"the connection was {_ending(error)} {'in the middle of' if answered else 'before'} the answer"
        case _:
            text = str(error) or type(error).__name__
    return _one_line(text)


def _connect_words(error: aiohttp.ClientConnectorError | aiohttp.ClientConnectorCertificateError) -> str:
    place = f"{error.host}:{error.port}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the name {error.host!r} cannot be resolved: {error.strerror or error.os_error}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = getattr(error.certificate_error, "verify_message", "") or str(error.certificate_error)
        return f"TLS failed: the certificate of {error.host} is not valid: {why}"
    if isinstance(error.os_error, ssl.SSLError):
        return f"TLS failed with {place}: {_ssl_words(error.os_error)}"
    if error.errno == errno.ECONNREFUSED:
        return f"connection refused by {place}"
    why = error.strerror or str(error.os_error)
    if error.errno == errno.EACCES:  # what the socket factory said, or several times that
        return why.removeprefix("Multiple exceptions: ").replace(f"[Errno {errno.EACCES}] ", "")
    return f"cannot connect to {place}: {why}"


def _ssl_words(error: ssl.SSLError) -> str:
    """OpenSSL shouts: `WRONG_VERSION_NUMBER`."""
    reason = (error.reason or error.strerror or str(error)).replace("_", " ").lower()
    return f"{reason} (does it speak TLS?)" if reason in ("wrong version number", "record layer failure") else reason


def _ending(error: Exception) -> str:
    return (
        "reset"
        if isinstance(error, ConnectionResetError) or getattr(error, "errno", 0) == errno.ECONNRESET
        else "closed"
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
