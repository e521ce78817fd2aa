"""What may be shown of a URL that somebody configured. Pure."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

STARS: Final = "**********"


def masked_url(url: str) -> str:
    """The same with stars for the password and for the query; what is no URL stays as it is.

    In an http URL a user without a password is a token as often as not, and is hidden too.

    >>> masked_url("https://me:secret@host/hook?token=1")
    'https://me:**********@host/hook?**********'
    """
    scheme, mark, rest = url.partition("://")
    if not mark:
        return url
    try:
        parts = urlsplit(url)
        _ = parts.port  # it can't be read where a password with a slash in it was cut in two
    except ValueError:
        return f"{scheme}://{STARS}"
    if ":" in parts.netloc and "@" not in parts.netloc and "@" in rest and scheme not in ("http", "https"):
        return f"{scheme}://{STARS}"  # of a database: its password may have a slash in it, and so may end anywhere
    user, at, place = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    known = f"{name}:{STARS}" if colon else STARS if user and scheme in ("http", "https") else name
    return f"{parts.scheme}://{known}{at}{place}{parts.path}{parts.query and f'?{STARS}'}"
