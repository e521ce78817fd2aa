"""When to leave an endpoint alone: a breaker for each, so that one that is down costs few attempts and no time.

Closed, everything that is due may leave. After some failures in a row it opens: nothing leaves, no attempt of any
delivery is spent. When it has rested, one delivery goes ahead: if that arrives the breaker closes, if not it rests
longer. Every function is pure; moments are Unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

OPENS_AFTER: Final = 5  # failures in a row, of whatever deliveries
FIRST_REST_S: Final = 5.0
LONGEST_REST_S: Final = 300.0  # so that a receiver that is back is found within five minutes
_ROUNDED_S: Final = 1.0  # moments are large numbers: sums of them are not exact
DISABLE_AFTER_S: Final = 5 * 86_400.0  # of nothing but failure

BreakerState = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, kw_only=True)
class Health:
    """What the newest attempts say of an endpoint."""

    failures: int = 0  # since an attempt arrived
    failing_since_s: float | None = None  # the first of them
    rest_s: float = 0.0  # how long it was left alone last; 0: the breaker is closed
    resting_until_s: float | None = None  # the end of that


WELL: Final = Health()


def state(health: Health, now: float) -> BreakerState:
    """Where the breaker stands `now`."""
    if health.rest_s <= 0:
        return "closed"
    left_s = (health.resting_until_s or 0.0) - now
    return "open" if 0 < left_s < health.rest_s + _ROUNDED_S else "half_open"  # longer: the clock was set back


def room(health: Health, now: float, *, in_flight: int, most: int) -> int:
    """How many more deliveries may leave for an endpoint that has `in_flight` on their way and takes `most` when well."""
    at_once = {"closed": most, "open": 0, "half_open": 1}[state(health, now)]
    return max(0, at_once - in_flight)


def after_attempt(health: Health, *, failed: bool, now: float) -> Health:
    """What is known once an attempt has ended `now`.

    What was already on its way when the breaker opened makes no rest longer: it says nothing new.
    """
    if not failed:
        return WELL
    failures = health.failures + 1
    counted = replace(health, failures=failures, failing_since_s=min(health.failing_since_s or now, now))
    if state(health, now) == "open" or failures < OPENS_AFTER:
        return counted
    rest_s = min(max(FIRST_REST_S, 2 * health.rest_s), LONGEST_REST_S)
    return replace(counted, rest_s=rest_s, resting_until_s=now + rest_s)


def rested(health: Health, now: float) -> Health:
    """The same, but the next delivery may leave at once: a person wants to know how the endpoint is."""
    return health if health.rest_s <= 0 else replace(health, resting_until_s=now)


def hopeless(health: Health, now: float, *, after_s: float = DISABLE_AFTER_S) -> bool:
    """Nothing but failure for so long: the endpoint is to be disabled."""
    return health.failing_since_s is not None and now - health.failing_since_s >= after_s
