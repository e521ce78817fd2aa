"""Moments as people type them: `30m`, `2h`, `3d`, `1w` ago, a date, or a date with a time, here."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Final

import click

from packd.domain.moments import rfc3339

_AGO: Final = re.compile(r"(\d{1,9})\s*(s|m|min|h|d|w)")
_UNIT_S: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}


def moment(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """An option's value as RFC 3339 in UTC. What has no offset is meant in the local time zone."""
    try:
        return None if value is None else since(value, time.time())
    except (ValueError, OverflowError, OSError):
        said = f"'{value}' is no moment: write 30m, 2h, 3d, 1w, 2026-01-31, or '2026-01-31 08:05'"
        raise click.BadParameter(said, ctx, param) from None


def since(text: str, now_s: float) -> str:
    """RFC 3339 in UTC. Raises ValueError."""
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return rfc3339(max(0.0, now_s - int(ago[1]) * _UNIT_S[ago[2]]))
    return rfc3339(datetime.fromisoformat(text.strip()).astimezone().timestamp())
