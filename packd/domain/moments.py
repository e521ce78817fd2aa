"""Moments as text. The only form that leaves packd: RFC 3339 in UTC, with milliseconds and `Z`."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(unix_s: float) -> str:
    """Unix seconds as `2026-01-31T08:05:09.120Z`."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def in_a_sentence(moment: str) -> str:
    """`2026-01-31 08:05:09 UTC`, of a moment as rfc3339 gives it: also read in files, long afterwards and elsewhere."""
    return f"{moment[:10]} {moment[11:19]} UTC"


def unix_s(text: str) -> float:
    """The other way round; takes any RFC 3339 offset. Raises ValueError."""
    return datetime.fromisoformat(text).timestamp()


def stored_form(text: str) -> str:
    """Any ISO 8601 moment or date as it is written down everywhere, so that the texts can be compared.

    A moment without an offset is UTC. Raises ValueError.
    """
    moment = datetime.fromisoformat(text)
    return rfc3339((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
