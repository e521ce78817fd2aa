"""GET over http and https, for what strangers answer: the only place of this room that speaks HTTP.

Every connection is made to an address that was judged a moment before, TLS is verified against the name, every redirect
is judged like a first request, and time and size end whatever the other side does. No proxies, no cookies, no .netrc.
"""

from __future__ import annotations

import base64
import http.client
import os
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, unquote, urljoin, urlunsplit

from packd import __version__
from packd.domain.sources import public_url, urlsplit_or_bad
from packd.sources import reach
from packd.sources.errand import SourceFailure, refused, unavailable, wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from packd.sources.errand import Errand

_MOST_REDIRECTS: Final = 5
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_SOON_S: Final = 0.2  # between two looks at the clock
_SILENCE_S: Final = 30.0  # without a single byte
_PIECE: Final = 256 * 1024
_MIB: Final = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What came of it; the content went into the sink."""

    status: int  # 200, or 304 when it was asked for only if changed
    url: str  # where it was found, behind all redirects
    etag: str | None
    bytes: int


def download(
    url: str,
    *,
    errand: Errand,
    sink: Callable[[bytes], object],
    headers: Mapping[str, str] | None = None,
    pinned: bool = False,
) -> Fetched:
    """GET `url` and hand the body to `sink`, piece by piece, exactly as it came.

    `pinned`: what comes is compared with a checksum, so nobody on the way can change it. Raises SourceFailure.
    """
    asked = url
    for _ in range(_MOST_REDIRECTS + 1):
        with _answer(asked, errand, headers or {}, pinned=pinned) as response:
            if response.status not in _REDIRECTS:
                return _take(response, asked, errand, sink)
            target = _redirected(response, asked, pinned=pinned)
            if _place(target) != _place(asked):
                target = _without_credentials(target)
            asked = target
    raise wrong(f"{public_url(url)} redirects more than {_MOST_REDIRECTS} times", elsewhere=True)


def _take(response: http.client.HTTPResponse, url: str, errand: Errand, sink: Callable[[bytes], object]) -> Fetched:
    what = public_url(url)
    if response.status not in (200, 304):
        raise _no_content(response, what)
    total = _length(response)
    if total is not None and total > errand.max_bytes:
        raise errand.too_large(what)
    taken = 0
    while piece := response.read1(_PIECE):
        errand.remaining_s(what)
        taken += len(piece)
        if taken > errand.max_bytes:
            raise errand.too_large(what)
        sink(piece)
        errand.on_progress(_progress(taken, total))
    errand.remaining_s(what)  # torn down, it looks like the end of the body
    if total is not None and taken < total and response.status == 200:
        raise unavailable(f"{what}: the connection broke off after {taken:,} of {total:,} bytes")
    return Fetched(status=response.status, url=url, etag=response.headers.get("etag"), bytes=taken)


def _no_content(response: http.client.HTTPResponse, what: str) -> SourceFailure:
    said = f"{what} answered {response.status} {response.reason}".rstrip()
    if response.status in (401, 403):
        said += ": it wants credentials, or other ones"
    failure = unavailable(said) if response.status >= 500 or response.status == 429 else wrong(said, elsewhere=True)
    failure.members = {"status": response.status}
    return failure


def _redirected(response: http.client.HTTPResponse, url: str, *, pinned: bool) -> str:
    where = response.headers.get("location")
    if not where:
        raise wrong(f"{public_url(url)} redirects, and does not say where to", elsewhere=True)
    target = urljoin(url, where)
    parts = urlsplit_or_bad(target)
    if parts.scheme not in ("http", "https"):
        raise refused(f"{public_url(url)} redirects to {parts.scheme}:, which is not followed")
    if url.startswith("https:") and parts.scheme == "http" and not pinned:
        raise refused(f"{public_url(url)} redirects from https to http: pin it with a checksum, or use another URL")
    return target


@contextmanager
def _answer(
    url: str, errand: Errand, headers: Mapping[str, str], *, pinned: bool
) -> Iterator[http.client.HTTPResponse]:
    """One request; the connection is closed behind it, and torn down when the time is over."""
    parts, what = urlsplit_or_bad(url), public_url(url)
    if parts.scheme == "http":
        reach.check_plain(url, str(parts.hostname), pinned=pinned, errand=errand)
    connection = _Connection(parts, errand)
    errand.remaining_s(what)
    done = threading.Event()
    threading.Thread(target=_guard, args=(connection, errand, done), name="source-guard", daemon=True).start()
    try:
        target = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        connection.request("GET", target, headers={**_usual(parts), **headers})
        with connection.getresponse() as response:
            errand.remaining_s(what)  # torn down, it looks like the end of the headers
            yield response
    except (OSError, http.client.HTTPException, ValueError) as failure:
        errand.remaining_s(what)
        raise unavailable(f"{what}: {_words(failure)}") from failure
    finally:
        done.set()
        connection.close()


def _guard(connection: _Connection, errand: Errand, done: threading.Event) -> None:
    """Whoever reads from a silent server can't look at the clock himself."""
    while not done.wait(_SOON_S):
        try:
            errand.remaining_s("")
        except SourceFailure:
            connection.tear_down()


def _usual(parts: SplitResult) -> dict[str, str]:
    usual = {"User-Agent": f"packd/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        usual["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return usual


class _Connection(http.client.HTTPConnection):
    """To an address that is allowed, with TLS for the name where the URL says https."""

    def __init__(self, parts: SplitResult, errand: Errand) -> None:
        self._secure = parts.scheme == "https"
        self.default_port = 443 if self._secure else 80  # so that the Host header leaves it out
        super().__init__(str(parts.hostname), parts.port, timeout=_SILENCE_S)
        self._errand = errand
        self._wire: socket.socket | None = None  # `sock` is given away when the answer ends with the connection

    def connect(self) -> None:
        found = reach.addresses(self.host, self.port, self._errand)
        self.sock = self._wire = self._connected(found)
        if self._secure:
            context = ssl.create_default_context()
            secured = context.wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
            self.sock = self._wire = secured
            secured.do_handshake()

    def _connected(self, found: list[str]) -> socket.socket:
        last: OSError | None = None
        for address in found:
            try:
                return socket.create_connection(
                    (address, self.port), timeout=min(_SILENCE_S, self._errand.remaining_s(self.host))
                )
            except OSError as failure:
                last = failure
        raise last or OSError(f"{self.host} has no address")

    def tear_down(self) -> None:
        """From another thread: whoever reads wakes up."""
        if self._wire is not None:
            with suppress(OSError):
                socket.socket.shutdown(self._wire, socket.SHUT_RDWR)  # below TLS, which could wait for the other side


def _place(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit_or_bad(url)
    return parts.scheme, parts.hostname, parts.port


def _without_credentials(url: str) -> str:
    parts = urlsplit_or_bad(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _length(response: http.client.HTTPResponse) -> int | None:
    """What it says it will send; None when it does not say."""
    text = response.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and not response.chunked else None


def _progress(taken: int, total: int | None) -> str:
    if total:
        return f"fetched {taken / _MIB:.1f} of {total / _MIB:.1f} MiB ({taken * 100 // total} %)"
    return f"fetched {taken / _MIB:.1f} MiB"


def _words(failure: Exception) -> str:
    match failure:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not valid: {failure.verify_message}"
        case ssl.SSLError():
            return f"TLS failed: {(failure.reason or str(failure)).replace('_', ' ').lower()}"
        case TimeoutError():
            return f"nothing came for {_SILENCE_S:g} s"
        case http.client.HTTPException() | ValueError():
            return f"the answer is not HTTP as it should be ({type(failure).__name__})"
        case OSError():
            return os.strerror(failure.errno).lower() if failure.errno else (str(failure) or "the connection broke off")
        case _:
            return str(failure)
