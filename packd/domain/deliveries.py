"""What follows from an attempt to deliver: arrived, again later, given up, or leave that endpoint alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Literal

from packd.domain.breaker import DISABLE_AFTER_S

if TYPE_CHECKING:
    from collections.abc import Sequence

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0

# Seconds before each attempt, counted from the end of the one before it; jitter only ever adds.
SCHEDULE: Final = (
    0.0,
    5.0,
    5 * _MINUTE,
    30 * _MINUTE,
    2 * _HOUR,
    5 * _HOUR,
    10 * _HOUR,
    14 * _HOUR,
    20 * _HOUR,
    24 * _HOUR,
)
JITTER: Final = 0.2  # the largest part of a wait that is added to it
RETRY_AFTER_CAP_S: Final = 24 * _HOUR
ONLY_LANE: Final = ""  # of an endpoint that wants everything in order
FAILING_AFTER: Final = 4  # failures of one delivery that are worth an event

DeliveryState = Literal["pending", "delivered", "exhausted", "aborted"]
Directive = Literal["disable", "abort-message"]  # what an answer's `webhook-delivery` header may ask for
DeliveryEvent = Literal["webhook.delivery_failing", "webhook.delivery_recovered", "webhook.delivery_exhausted"]

_WEB_PAGE: Final = "the answer is a web page: is this the address of a receiver?"
_PAUSING: Final = (429, 503)  # the statuses whose Retry-After is heeded
_DELAY: Final = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What an operator may choose about deliveries."""

    schedule: tuple[float, ...] = SCHEDULE  # seconds before each attempt
    jitter: float = JITTER
    disable_after_s: float = DISABLE_AFTER_S  # of nothing but failure


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one attempt went."""

    status: int | None = None  # the HTTP status; None: no answer
    error: str | None = None  # why the exchange was not completed, in words; None: it was
    duration_ms: float = 0.0  # from the first step to the last byte that was read
    request_head: str = ""  # what was sent, without secrets and without the body, to be kept
    response_head: str = ""  # the beginning of the answer, without secrets, to be kept
    content_type: str | None = None  # of the answer, without parameters
    retry_after_s: float | None = None  # from the end of the attempt; None: not asked for
    directive: Directive | None = None

    @property
    def arrived(self) -> bool:
        """A whole answer of 2xx. One that broke off is none: better twice than not at all."""
        return self.error is None and self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What follows for the delivery and for its endpoint."""

    state: DeliveryState  # of the delivery
    reason: str  # a sentence for the attempt log
    warning: str | None = None  # it arrived, but something is odd
    next_attempt_at: float | None = None  # Unix seconds; None: no more, or held until the endpoint is enabled again
    disable_endpoint: bool = False  # it asked to be sent nothing any more
    pause_endpoint_until: float | None = None  # Unix seconds: it asked to be left alone until then
    event: DeliveryEvent | None = None  # what to tell about this delivery


def decide(
    attempts_made: int,
    outcome: Outcome,
    now: float,
    random: float,
    schedule: Sequence[float] = SCHEDULE,
    jitter: float = JITTER,
) -> Decision:
    """What follows from the attempt that ended `now` (Unix seconds).

    `attempts_made` counts it; `random` is from [0, 1) and spreads the next attempt by up to the part `jitter` of the
    wait; `schedule` holds the seconds before each attempt, so its length is their number. Raises ValueError when no
    attempt was made.
    """
    if attempts_made < 1:
        raise ValueError("a decision needs an attempt")
    if outcome.arrived:
        return _delivered(outcome, was_told=attempts_made > FAILING_AFTER)
    if outcome.directive == "abort-message":
        return Decision(state="aborted", reason=f"{_what(outcome)}: the endpoint asked for no further attempt")
    if asked_to_stop(outcome):
        return _held(attempts_made, outcome)
    return _failed(attempts_made, outcome, now, jitter * random, schedule)


def latest(attempts_made: int, now: float, rules: Rules) -> float:
    """The latest moment that the schedule can have set for the attempt after these, by a clock that is right.

    What waits for a later one was planned by a clock that has been set back since, or its endpoint asked for that.
    """
    waits = rules.schedule
    return now + waits[min(attempts_made, len(waits) - 1)] * (1 + rules.jitter)


def asked_to_stop(outcome: Outcome) -> bool:
    """410 Gone, or the header `webhook-delivery: disable` on any answer."""
    return outcome.status == HTTPStatus.GONE or outcome.directive == "disable"


def failed(outcome: Outcome) -> bool:
    """Did the endpoint fail? One that asks for no more of a message, or of any, is well and knows what it wants."""
    return not outcome.arrived and outcome.directive is None and not asked_to_stop(outcome)


def retry_after(value: str | None, now: float) -> float | None:
    """The wait in seconds that a Retry-After header asks for (RFC 9110 section 10.2.3), 0 to 24 h.

    None when there is no such header or it cannot be understood.
    """
    if value is None:
        return None
    from email.utils import parsedate_to_datetime  # few receivers send one

    text = value.strip()
    if _DELAY.fullmatch(text):
        return min(float(text), RETRY_AFTER_CAP_S)
    try:
        date = parsedate_to_datetime(text)
        wait = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(wait, 0.0), RETRY_AFTER_CAP_S)


def wait_text(seconds: float) -> str:
    """A wait as people say it: `5 s`, `30 min`, `14 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE:.0f} min" if seconds < 100 * _MINUTE else f"{seconds / _HOUR:.0f} h"


def _delivered(outcome: Outcome, *, was_told: bool) -> Decision:
    status = outcome.status or 0
    return _arrival(status, outcome.content_type == "text/html", outcome.directive == "disable", was_told)


@lru_cache(maxsize=64)  # nearly every attempt arrives, and most in the same way
def _arrival(status: int, is_page: bool, disables: bool, was_told: bool) -> Decision:
    reason = f"answered {status} {_phrase(status)}".rstrip()
    if disables:
        reason += ", and the endpoint asked to be disabled"
    return Decision(
        state="delivered",
        reason=f"{reason}; {_WEB_PAGE}" if is_page else reason,
        warning=_WEB_PAGE if is_page else None,
        disable_endpoint=disables,
        event="webhook.delivery_recovered" if was_told else None,
    )


def _held(attempts_made: int, outcome: Outcome) -> Decision:
    return Decision(
        state="pending",
        reason=f"{_what(outcome)}: the endpoint is disabled and its events are held",
        disable_endpoint=True,
        event=_failing(attempts_made),
    )


def _failed(attempts_made: int, outcome: Outcome, now: float, extra: float, schedule: Sequence[float]) -> Decision:
    asked_s = min(outcome.retry_after_s or 0.0, RETRY_AFTER_CAP_S) if outcome.status in _PAUSING else 0.0
    pause = now + asked_s if asked_s > 0 else None
    if attempts_made >= len(schedule):
        return Decision(
            state="exhausted",
            reason=f"{_what(outcome)}; that was the last of {attempts_made} attempts",
            pause_endpoint_until=pause,
            event="webhook.delivery_exhausted",
        )
    wait_s = max(schedule[attempts_made] * (1 + extra), asked_s)
    return Decision(
        state="pending",
        reason=f"{_what(outcome)}; attempt {attempts_made} of {len(schedule)}, the next in {wait_text(wait_s)}",
        next_attempt_at=now + wait_s,
        pause_endpoint_until=pause,
        event=_failing(attempts_made),
    )


def _failing(attempts_made: int) -> DeliveryEvent | None:
    return "webhook.delivery_failing" if attempts_made == FAILING_AFTER else None


def _what(outcome: Outcome) -> str:
    if outcome.status is None:
        return outcome.error or "no answer"
    said = f"answered {outcome.status} {_phrase(outcome.status)}".rstrip()
    if 300 <= outcome.status < 400:
        said += " (redirects are not followed: put the new address into the endpoint's URL)"
    return f"{said}, but {outcome.error}" if outcome.error else said


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
