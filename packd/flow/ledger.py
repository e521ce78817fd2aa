"""What came of attempts, written down: what follows for the delivery, for its endpoint, and who is told of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import structlog

from packd.domain import event_data as said
from packd.domain.deliveries import Outcome, Rules, decide, failed, latest
from packd.domain.moments import rfc3339
from packd.flow import endpoint_health
from packd.registry import housekeeping, outbox

if TYPE_CHECKING:
    from packd.domain.deliveries import Decision
    from packd.flow.clock import Clock
    from packd.registry.registry import Registry, Writer
    from packd.registry.rows import Delivery, Endpoint

log = structlog.get_logger(__name__)

Attempted = Callable[["Delivery", Outcome, "Decision"], None]

_TELLS: Final = {
    model.type: model
    for model in (said.WebhookDeliveryFailing, said.WebhookDeliveryRecovered, said.WebhookDeliveryExhausted)
}


class Ledger:
    """`on_attempt` is told of every attempt once it is written down; it must be quick and must not raise."""

    def __init__(self, *, registry: Registry, clock: Clock, rules: Rules, on_attempt: Attempted) -> None:
        self._registry = registry
        self._clock = clock
        self._rules = rules
        self._on_attempt = on_attempt

    def follow(self, rules: Rules) -> None:
        """What is decided from now on follows these."""
        self._rules = rules

    def pull_in(self) -> int:
        """What waits longer than the schedule ever asks for was planned by a clock that has been set back since.

        Returns how many deliveries.
        """
        now = self._clock.now()
        moments = [latest(made, now, self._rules) for made in range(len(self._rules.schedule))]
        with self._registry.read() as connection:
            if not housekeeping.too_late(connection, moments, now=now):
                return 0
        with self._registry.write() as tx:
            found = housekeeping.pull_in(tx.connection, moments, now=now)
        log.warning("delivery.pulled_in", deliveries=found)
        return found

    def write_down(self, back: list[tuple[Delivery, Outcome]], seen: dict[str, Endpoint]) -> None:
        """One transaction for all of it. `seen` are the endpoints as they were last looked at; it is kept up to date."""
        if not back:
            return
        now = self._clock.now()
        decided = [(delivery, outcome, self._decide(delivery, outcome, now)) for delivery, outcome in back]
        arrived = [one for one in decided if _is_plain(one[2])]
        # A plain arrival that a power cut makes us forget is only told once more; anything else has consequences.
        with self._registry.write(durable=len(arrived) < len(decided)) as tx:
            outbox.record_arrivals(tx.connection, arrived, at=tx.now)
            for delivery, outcome, decision in decided:
                if not _is_plain(decision):
                    self._record(tx, delivery, outcome, decision)
                self._note_health(tx, delivery, outcome, decision, now, seen)
        say = log.bind()
        for delivery, outcome, decision in decided:
            say.debug("delivery.attempted", endpoint=delivery.endpoint, event_id=delivery.event_id, why=decision.reason)
            self._on_attempt(delivery, outcome, decision)

    def _decide(self, delivery: Delivery, outcome: Outcome, now: float) -> Decision:
        spread = random.random()  # noqa: S311  only spreads
        return decide(delivery.attempts + 1, outcome, now, spread, self._rules.schedule, self._rules.jitter)

    def _record(self, tx: Writer, delivery: Delivery, outcome: Outcome, decision: Decision) -> None:
        outbox.record_attempt(tx.connection, delivery, outcome, decision, at=tx.now)
        if decision.pause_endpoint_until is not None:
            outbox.pause_endpoint(tx.connection, delivery.endpoint, until_s=decision.pause_endpoint_until)
        if decision.event is not None:
            self._tell(tx, delivery, _TELLS[decision.event], decision)

    def _note_health(
        self,
        tx: Writer,
        delivery: Delivery,
        outcome: Outcome,
        decision: Decision,
        now: float,
        seen: dict[str, Endpoint],
    ) -> None:
        """Where all is well and was well, nothing is read or written."""
        before = seen.get(delivery.endpoint)
        if not failed(outcome) and not decision.disable_endpoint and before is not None and before.is_well:
            return
        noted = endpoint_health.note(tx, delivery.endpoint, outcome, decision, now, self._rules.disable_after_s)
        if noted.endpoint is not None:
            seen[delivery.endpoint] = noted.endpoint
        if noted.disabled is not None:
            self._tell(tx, delivery, said.WebhookEndpointDisabled, decision, last_error=noted.disabled)

    def _tell(
        self,
        tx: Writer,
        delivery: Delivery,
        kind: type[said.WebhookData],
        decision: Decision,
        last_error: str | None = None,
    ) -> None:
        due, reason = decision.next_attempt_at, None if decision.state == "delivered" else decision.reason
        tx.emit(
            kind(
                endpoint=delivery.endpoint,
                event_id=delivery.event_id,
                attempts=delivery.attempts + 1,
                last_error=last_error or reason,
                next_attempt_at=None if due is None else rfc3339(due),
            ),
            correlation_id=delivery.event_id,
            causation_id=delivery.event_id,
        )


def _is_plain(decision: Decision) -> bool:
    """It arrived, and nothing follows from that."""
    return decision.state == "delivered" and decision.event is None and not decision.disable_endpoint
