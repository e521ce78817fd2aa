"""Moments as text. The only form that leaves packd: RFC 3339 in UTC, with milliseconds and `Z`."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

_SPAN: Final = re.compile(r"(\d{1,9})\s*(s|min|m|h|d|w)")
_SECONDS: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}


def rfc3339(unix_s: float) -> str:
    """Unix seconds as `2026-01-31T08:05:09.120Z`."""
    moment = datetime.fromtimestamp(unix_s, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def unix_s(text: str) -> float:
    """The other way round; takes any RFC 3339 offset. Raises ValueError."""
    return datetime.fromisoformat(text).timestamp()


def stored_form(text: str) -> str:
    """Any ISO 8601 moment or date as it is written down everywhere, so that the texts can be compared.

    A moment without an offset is UTC. Raises ValueError.
    """
    moment = datetime.fromisoformat(text)
    return rfc3339((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def moment_s(text: str, now_s: float) -> float:
    """A moment as people give it, in Unix seconds: `2h`, `30 min`, `7d` before `now_s`, or RFC 3339. Raises ValueError.

    A moment without an offset is in UTC; a date alone is its beginning.
    """
    span = _SPAN.fullmatch(text.strip())
    if span:
        return now_s - int(span[1]) * _SECONDS[span[2]]
    try:
        found = datetime.fromisoformat(text.strip())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:40]!r} is no moment: write 2h, 7d, or 2026-01-31T09:00:00Z") from None
