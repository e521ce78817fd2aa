"""The outbox: events and what is still to be told to whom, written in the transaction of what happened."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, case, insert, select, update

from packd.domain.breaker import WELL
from packd.domain.clipping import sayable
from packd.domain.deliveries import ONLY_LANE
from packd.domain.events import envelope_json
from packd.domain.subscriptions import TRIAL, subscribes
from packd.registry import queries
from packd.registry.prepared import Prepared
from packd.registry.rows import Delivery, Endpoint, StoredEvent
from packd.registry.tables import attempts, deliveries, endpoints, events, facts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from packd.domain.deliveries import Decision, Outcome
    from packd.domain.event_data import EventData

_COUNTER: Final = "event_seq"

# Statements are built once: building one takes longer than running it. `of_…` says which row, the rest is what to set.
_READ_COUNTER = Prepared(select(facts.c.value).where(facts.c.name == _COUNTER).with_for_update())
_SET_COUNTER = Prepared(update(facts).where(facts.c.name == _COUNTER))
_INSERT_EVENT = Prepared(insert(events))
_INSERT_DELIVERY = Prepared(insert(deliveries))
_INSERT_ATTEMPT = Prepared(insert(attempts))
_UPDATE_DELIVERY = Prepared(update(deliveries).where(deliveries.c.id == bindparam("of_id")))
_IDS_AT_ONCE: Final = 64
_IDS: Final = tuple(f"id_{n}" for n in range(_IDS_AT_ONCE))
_ARRIVED = Prepared(
    update(deliveries)
    .where(deliveries.c.id.in_([bindparam(name) for name in _IDS]))
    .values(state="delivered", attempts=deliveries.c.attempts + 1, next_attempt_at_s=None, last_error=None)
)
_COUNT_UP = Prepared(update(endpoints).where(endpoints.c.name == bindparam("of_name")))


@dataclass(frozen=True, kw_only=True)
class Outbox:
    """Appends events. What it needs from outside comes in as plain functions."""

    source: str  # which daemon says so, as a URI: the `source` of every envelope
    new_id: Callable[[], str]  # a fresh "evt_<ULID>"
    webhook_body: Callable[[str, int, str], bytes]  # (envelope JSON, endpoint_seq, format) → the exact bytes to send

    def fan_out(self, connection: Connection, told: Sequence[StoredEvent], endpoint: Endpoint, *, after: int) -> None:
        """The deliveries of these events to this endpoint, with the places behind `after`."""
        rows = [self.delivery(event, endpoint, place) for place, event in enumerate(told, after + 1)]
        _INSERT_DELIVERY.run_each(connection, rows)
        _COUNT_UP.run(connection, {"of_name": endpoint.name, "last_endpoint_seq": after + len(rows)})

    def delivery(self, event: StoredEvent, endpoint: Endpoint, endpoint_seq: int) -> dict[str, Any]:
        """The row of what is to be sent."""
        return {
            "endpoint": endpoint.name,
            "event_seq": event.seq,
            "event_id": event.id,
            "event_type": event.type,
            "subject": event.subject,
            "endpoint_seq": endpoint_seq,
            "lane": _lane(endpoint, event),
            "body": self.webhook_body(event.body, endpoint_seq, endpoint.format),
            "state": "pending",
            "attempts": 0,
            "earlier_attempts": 0,
            "created_at": event.timestamp,
        }


class Telling:
    """What one transaction says, with a delivery for each endpoint that asked for it: collected, then written at once.

    The counter of events and the endpoints are read when the first event is said, and not again until it is written.
    """

    def __init__(self, outbox: Outbox, connection: Connection) -> None:
        self._outbox = outbox
        self._connection = connection
        self._events: list[StoredEvent] = []
        self._deliveries: list[dict[str, Any]] = []
        self._last: int | None = None  # the number of the newest event, this transaction's as well
        self._endpoints: list[Endpoint] = []
        self._places: dict[str, int] = {}  # endpoint → its newest place, where that is this transaction's

    def say(self, data: EventData, *, timestamp: str, correlation_id: str, causation_id: str | None) -> StoredEvent:
        """The next event."""
        seq, identity, subject = self._next_seq(), self._outbox.new_id(), sayable(data.subject)
        body = envelope_json(
            data,
            id=identity,
            seq=seq,
            timestamp=timestamp,
            source=self._outbox.source,
            subject=subject,
            correlation_id=correlation_id,
            causation_id=causation_id,
        )
        event = StoredEvent(seq=seq, id=identity, type=data.type, subject=subject, timestamp=timestamp, body=body)
        self._last = seq
        self._events.append(event)
        for endpoint in self._endpoints:
            if subscribes(endpoint.types, endpoint.packs, event.type, subject, endpoint=endpoint.name):
                place = self._places.get(endpoint.name, endpoint.last_endpoint_seq) + 1
                self._places[endpoint.name] = place
                self._deliveries.append(self._outbox.delivery(event, endpoint, place))
        return event

    def write(self) -> None:
        """All that was said. What is said after that looks again at who is to be told."""
        if self._last is None:
            return
        _SET_COUNTER.run(self._connection, {"value": str(self._last)})
        _INSERT_EVENT.run_each(self._connection, [vars(event) for event in self._events])
        for name, place in self._places.items():
            _COUNT_UP.run(self._connection, {"of_name": name, "last_endpoint_seq": place})
        _INSERT_DELIVERY.run_each(self._connection, self._deliveries)
        self._events, self._deliveries, self._places, self._last = [], [], {}, None

    def _next_seq(self) -> int:
        """One more than the last, in this transaction: rolled back with it, so that the numbers have no gap."""
        if self._last is None:
            self._endpoints = queries.all_endpoints(self._connection)
            self._last = _last_seq(self._connection)
        return self._last + 1


def _last_seq(connection: Connection) -> int:
    last = _READ_COUNTER.first(connection, {})
    if last is None:
        connection.execute(insert(facts).values(name=_COUNTER, value="0"))
        return 0
    return int(last[0])


def _lane(endpoint: Endpoint, event: StoredEvent) -> str:
    """What must stay in order: everything (`strict`), each pack on its own (`pack`), or nothing.

    Who sends a `webhook.test` wants to know how the endpoint is now: it waits for no other one.
    """
    if endpoint.ordering == "strict":
        return ONLY_LANE
    return event.subject if endpoint.ordering == "pack" and event.type != TRIAL else event.id


# The same for a delivery that is there already, as its endpoint has it now.
_ORDERING: Final = select(endpoints.c.ordering).where(endpoints.c.name == deliveries.c.endpoint).scalar_subquery()
LANE: Final = case(
    (_ORDERING == "strict", ONLY_LANE),
    ((_ORDERING == "pack") & (deliveries.c.event_type != TRIAL), deliveries.c.subject),
    else_=deliveries.c.event_id,
)


def save_endpoint(connection: Connection, endpoint: Endpoint) -> None:
    """Make or change an endpoint; its counter and its waiting deliveries stay, and so does what its address has earned.

    For another address they wait no longer: it has not failed.
    """
    known = queries.endpoint(connection, endpoint.name)
    if known is None:
        connection.execute(insert(endpoints).values(asdict(endpoint)))
        return
    earned = {name: getattr(known, name) for name in _EARNED} if known.url == endpoint.url else _EARNED
    wanted = replace(endpoint, **{name: getattr(known, name) for name in _KEPT}, **earned)
    if wanted != known:
        connection.execute(update(endpoints).where(endpoints.c.name == wanted.name).values(asdict(wanted)))
    waiting = update(deliveries).where(deliveries.c.endpoint == wanted.name, deliveries.c.state == "pending")
    if wanted.ordering != known.ordering:
        connection.execute(waiting.values(lane=LANE))
    if wanted.url != known.url:
        connection.execute(waiting.values(next_attempt_at_s=None))


# What happened to an endpoint: what belongs to it whatever its address, and what an address has that is new.
_KEPT: Final = ("last_endpoint_seq", "previous_secret", "previous_secret_until_s")
_EARNED: Final[dict[str, Any]] = {"paused_until_s": None, **asdict(WELL)}


def record_arrivals(connection: Connection, arrived: Sequence[tuple[Delivery, Outcome, Decision]], *, at: str) -> None:
    """These were delivered, and nothing else follows: as `record_attempt` for each, with a few statements for all."""
    _INSERT_ATTEMPT.run_each(connection, [_attempt(*one, at=at) for one in arrived])
    for begin in range(0, len(arrived), _IDS_AT_ONCE):
        ids = [delivery.id for delivery, _, _ in arrived[begin : begin + _IDS_AT_ONCE]]
        ids += [0] * (_IDS_AT_ONCE - len(ids))  # which no delivery has
        _ARRIVED.run(connection, {"finished_at": at, **dict(zip(_IDS, ids, strict=True))})


def record_attempt(
    connection: Connection, delivery: Delivery, outcome: Outcome, decision: Decision, *, at: str
) -> None:
    """One attempt was made; this is what came of it and what follows."""
    follows = {
        "of_id": delivery.id,
        "state": decision.state,
        "attempts": delivery.attempts + 1,
        "next_attempt_at_s": decision.next_attempt_at,
        "last_error": None if decision.state == "delivered" else decision.reason,
        "finished_at": None if decision.state == "pending" else at,
    }
    _INSERT_ATTEMPT.run(connection, _attempt(delivery, outcome, decision, at=at))
    _UPDATE_DELIVERY.run(connection, follows)


def _attempt(delivery: Delivery, outcome: Outcome, decision: Decision, *, at: str) -> dict[str, Any]:
    return {
        "delivery_id": delivery.id,
        "number": delivery.earlier_attempts + delivery.attempts + 1,
        "at": at,
        "status": outcome.status,
        "error": None if decision.state == "delivered" else decision.reason,
        "reason": decision.reason,
        "warning": decision.warning,
        "duration_ms": outcome.duration_ms,
        "request_head": outcome.request_head,
        "response_head": outcome.response_head,
    }


def set_endpoint_state(connection: Connection, names: Sequence[str], *, state: str, reason: str | None) -> None:
    connection.execute(update(endpoints).where(endpoints.c.name.in_(names)).values(state=state, state_reason=reason))


def pause_endpoint(connection: Connection, name: str, *, until_s: float) -> None:
    """It asked to be left alone until then (Unix seconds); the latest moment that it asked for counts."""
    earlier = endpoints.c.paused_until_s.is_(None) | (endpoints.c.paused_until_s < until_s)
    connection.execute(update(endpoints).where(endpoints.c.name == name, earlier).values(paused_until_s=until_s))


def end_pause(connection: Connection, name: str) -> None:
    connection.execute(update(endpoints).where(endpoints.c.name == name).values(paused_until_s=None))


def parse(event: StoredEvent) -> dict[str, Any]:
    """The envelope as a mapping."""
    envelope: dict[str, Any] = json.loads(event.body)
    return envelope
