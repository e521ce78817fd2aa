"""What may be asked of an endpoint's URL and of its extra headers, before anything is sent. Pure.

Where a name leads is not judged here but when the connection is made: see `packd.domain.addresses`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

# Characters that different readers of URLs take differently (WHATWG URL, RFC 3986 section 2).
_SLIPPERY: Final = re.compile(r"[\x00-\x20\x7f-\xa0\\\"<>^`{|}]")
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")  # RFC 9110 section 5.5, ASCII only
_RESERVED_NAMES: Final = frozenset(
    (
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    )
)
_RESERVED_PREFIX: Final = "webhook-"


@lru_cache(maxsize=512)
def url_fault(url: str) -> str | None:
    """What is wrong with an endpoint's URL, as a sentence that never quotes a password; None when nothing is."""
    if _SLIPPERY.search(url):
        return "the URL contains a space or another character that has no place in a URL: percent-encode it"
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        return f"the URL cannot be read: {error}"
    if parts.scheme not in ("http", "https"):
        return "the URL must begin with https:// or http://"
    if "@" in parts.netloc:
        return "the URL contains a user name or password: send credentials in one of the endpoint's headers instead"
    if not host:
        return "the URL names no host"
    return "port 0 cannot be connected to" if port == 0 else None


@lru_cache(maxsize=512)
def headers_fault(headers: tuple[tuple[str, str], ...]) -> str | None:
    """What is wrong with an endpoint's extra headers, as a sentence that never quotes a value; None when nothing is."""
    return next((fault for name, value in headers if (fault := _header_fault(name, value))), None)


def _header_fault(name: str, value: str) -> str | None:
    if _HEADER_NAME.fullmatch(name) is None:
        return f"{name[:40]!r} cannot be the name of a header: use letters, digits and dashes"
    if name.lower() in _RESERVED_NAMES or name.lower().startswith(_RESERVED_PREFIX):
        return f"the header {name!r} is set by packd and cannot be changed"
    if _HEADER_VALUE.fullmatch(value) is None:
        return f"the value of the header {name!r} must be printable ASCII on one line"
    return None
