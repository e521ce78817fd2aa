"""Moments as text. The only form that leaves packd: RFC 3339 in UTC, with milliseconds and `Z`."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(unix_s: float) -> str:
    """Unix seconds as `2026-01-31T08:05:09.120Z`."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unix_s(text: str) -> float:
    """The other way round; takes any RFC 3339 offset. Raises ValueError."""
    return datetime.fromisoformat(text).timestamp()


def stored_form(text: str) -> str:
    """Any ISO 8601 moment or date as it is written down everywhere, so that the texts can be compared.

    A moment without an offset is UTC. Raises ValueError.
    """
    moment = datetime.fromisoformat(text)
    return rfc3339((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
