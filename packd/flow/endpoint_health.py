"""What an attempt says of its endpoint: whether it rests for a while, is well again, or gets nothing any more."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from packd.domain.breaker import after_attempt, hopeless
from packd.domain.deliveries import failed, wait_text
from packd.domain.health import Ailment
from packd.domain.moments import unix_s
from packd.registry import housekeeping, outbox, queries, redelivery

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from packd.domain.breaker import Health
    from packd.domain.deliveries import Decision, Outcome
    from packd.registry.registry import Registry, Writer
    from packd.registry.rows import Endpoint

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Noted:
    """What became of the endpoint."""

    endpoint: Endpoint | None = None  # as it is now; None: it is not there any more
    disabled: str | None = None  # why it was disabled by this attempt


def note(tx: Writer, name: str, outcome: Outcome, decision: Decision, now: float, disable_after_s: float) -> Noted:
    """Write down what the attempt that ended `now` (Unix seconds) says of its endpoint."""
    endpoint = queries.endpoint(tx.connection, name)
    if endpoint is None:
        return Noted()
    health = after_attempt(endpoint.health, failed=failed(outcome), now=now)
    if health != endpoint.health:
        redelivery.set_health(tx.connection, name, health)
        _say_breaker(endpoint, health, now)
    after = queries.endpoint(tx.connection, name)
    if endpoint.state != "enabled":
        return Noted(endpoint=after)
    reason = decision.reason if decision.disable_endpoint else _given_up(health, decision, now, disable_after_s)
    if reason is None:
        return Noted(endpoint=after)
    outbox.set_endpoint_state(tx.connection, [name], state="disabled", reason=reason)
    return Noted(endpoint=replace(endpoint, state="disabled", state_reason=reason), disabled=reason)


def overlook_absence(registry: Registry, *, now: float) -> None:
    """While no daemon ran nothing was tried: no endpoint has failed in that time. The newest event is what it said last."""
    with registry.read() as connection:
        last = queries.newest_event(connection)
        failing = [one.name for one in queries.all_endpoints(connection) if one.failing_since_s is not None]
    if last is None or not failing:
        return
    with registry.write() as tx:
        housekeeping.overlook(tx.connection, for_s=max(0.0, now - unix_s(last.timestamp)), now=now)


def disabled(endpoints: Iterable[Endpoint]) -> Iterator[Ailment]:
    """A warning for each that gets nothing."""
    for one in endpoints:
        if one.state == "disabled":
            said = f"'{one.name}' is told nothing, as it is disabled ({one.state_reason or 'nobody said why'})"
            fix = f"`packd webhook enable {one.name}` sends what is held"
            yield Ailment(part="webhook", grade="warning", sentence=f"{said}; {fix}")


def _given_up(health: Health, decision: Decision, now: float, disable_after_s: float) -> str | None:
    if not hopeless(health, now, after_s=disable_after_s):
        return None
    lasted = wait_text(now - (health.failing_since_s or now))
    return f"nothing but failure for {lasted}, and its events are held; the last attempt: {decision.reason}"


def _say_breaker(endpoint: Endpoint, health: Health, now: float) -> None:
    """The log has a line when an endpoint begins to rest and when it is well again, none in between."""
    if endpoint.rest_s <= 0 < health.rest_s:
        rest = wait_text((health.resting_until_s or now) - now)
        log.warning("webhook.breaker_opened", endpoint=endpoint.name, failures=health.failures, next_try_in=rest)
    elif health.rest_s <= 0 < endpoint.rest_s:
        log.info("webhook.breaker_closed", endpoint=endpoint.name)
