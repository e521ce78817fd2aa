"""What may be asked of an endpoint's URL and of its extra headers, before anything is sent. Pure.

Each rule answers with what is wrong, to be read behind the name of the thing ("the URL …"), and never quotes a URL or a
value: they may hold a password. Where a name leads is judged when the connection is made: see `packd.domain.addresses`.
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
    """Why no webhook can be sent to this URL; None when nothing speaks against it."""
    if _SLIPPERY.search(url):
        return "has a space or another character that must be percent-encoded"
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        return "is no address: write it as https://host[:port]/path"
    if "@" in parts.netloc:
        return "must not hold credentials: put them under headers, as in Authorization: Bearer …"
    if parts.scheme not in ("http", "https") or not host or port == 0:
        return "must be an http or https address, as in https://hooks.example/packd"
    return None


def header_name_fault(name: str) -> str | None:
    """Why a header of this name can't be added."""
    if _HEADER_NAME.fullmatch(name) is None:
        return "is no header name: use letters, digits and dashes"
    if name.lower() in _RESERVED_NAMES or name.lower().startswith(_RESERVED_PREFIX):
        return "is a header that packd sets itself"
    return None


def header_value_fault(value: str) -> str | None:
    """Why this can't be the value of a header; a line break in it would be the beginning of another one."""
    return None if _HEADER_VALUE.fullmatch(value) else "must be printable ASCII on one line"


@lru_cache(maxsize=512)
def headers_fault(headers: tuple[tuple[str, str], ...]) -> str | None:
    """What is wrong with these extra headers, as a sentence with the header's name; None when nothing is."""
    for name, value in headers:
        if fault := header_name_fault(name) or header_value_fault(value):
            return f"the header {name[:40]!r} {fault}"
    return None
