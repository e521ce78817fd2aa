"""How often somebody may ask: a bucket that fills again evenly. Pure; the clock is an argument."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Rate:
    """So many requests in so many seconds."""

    quota: int
    window_s: float


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """What is left, as of a moment."""

    left: float
    at_s: float  # monotonic seconds


def take(rate: Rate, bucket: Bucket | None, now_s: float) -> tuple[Bucket, bool]:
    """(the bucket after one more request, whether it may be carried out); None is a full one.

    >>> take(Rate(quota=1, window_s=60), None, 0.0)
    (Bucket(left=0.0, at_s=0.0), True)
    """
    before = Bucket(left=float(rate.quota), at_s=now_s) if bucket is None else bucket
    filled = before.left + max(0.0, now_s - before.at_s) * rate.quota / rate.window_s
    left = min(float(rate.quota), filled)
    if left < 1.0:
        return Bucket(left=left, at_s=now_s), False
    return Bucket(left=left - 1.0, at_s=now_s), True


def full_in_s(rate: Rate, bucket: Bucket) -> float:
    """Seconds until all of the quota is there again."""
    return (rate.quota - bucket.left) * rate.window_s / rate.quota


def next_in_s(rate: Rate, bucket: Bucket) -> float:
    """Seconds until one more request may be carried out."""
    return max(0.0, (1.0 - bucket.left) * rate.window_s / rate.quota)
