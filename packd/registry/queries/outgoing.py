"""What is asked about events, endpoints and what is still to be told to them."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, select, text

from packd.domain.deliveries import ONLY_LANE
from packd.domain.subscriptions import TRIAL
from packd.registry.conditions import IS_PENDING
from packd.registry.prepared import Prepared
from packd.registry.queries.reading import many, one
from packd.registry.rows import Delivery, Endpoint, Head, StoredEvent
from packd.registry.tables import attempts, deliveries, endpoints, events

if TYPE_CHECKING:
    from sqlalchemy import Connection

_ENDPOINTS = Prepared(select(endpoints).where(endpoints.c.state != "removed").order_by(endpoints.c.name))
_HEAD = tuple(deliveries.c[field.name] for field in fields(Head))
_DELIVERY = Prepared(select(deliveries).where(deliveries.c.id == bindparam("of_id")))
_AHEAD = deliveries.alias("ahead")
_IS_HELD_UP = (
    select(_AHEAD.c.id)
    .where(text(f"ahead.{IS_PENDING}"), _AHEAD.c.endpoint == bindparam("name"), _AHEAD.c.lane == deliveries.c.lane)
    .where(_AHEAD.c.next_attempt_at_s > bindparam("now"))
    .where(text("+ahead.event_seq <= deliveries.event_seq"))  # +: SQLite is not to look for this by an index
    .exists()
)
_WAITING = Prepared(
    select(deliveries)
    .where(text(f"deliveries.{IS_PENDING}"), deliveries.c.endpoint == bindparam("name"))
    .where(deliveries.c.event_seq > bindparam("after"), ~_IS_HELD_UP)
    .order_by(deliveries.c.event_seq)
    .limit(bindparam("most"))
)
_SOONEST = Prepared(
    select(func.min(deliveries.c.next_attempt_at_s)).where(
        text(f"deliveries.{IS_PENDING}"),
        deliveries.c.endpoint == bindparam("name"),
        deliveries.c.next_attempt_at_s > bindparam("now"),
    )
)
_UNTRIED = Prepared(
    select(deliveries)
    .where(text(f"deliveries.{IS_PENDING}"), deliveries.c.endpoint == bindparam("name"))
    .where(deliveries.c.event_type == TRIAL, deliveries.c.attempts == 0, deliveries.c.lane != ONLY_LANE)
    .order_by(deliveries.c.event_seq.desc())
    .limit(1)
)
_FIRSTS = (
    select(func.min(deliveries.c.event_seq).label("event_seq"))
    .where(text(f"deliveries.{IS_PENDING}"), deliveries.c.endpoint == bindparam("name"))
    .group_by(deliveries.c.lane)
    .subquery()
)
_LANE_HEADS = Prepared(
    select(*_HEAD)
    .join(_FIRSTS, (deliveries.c.endpoint == bindparam("name")) & (deliveries.c.event_seq == _FIRSTS.c.event_seq))
    .order_by(deliveries.c.id)
)
_NEWEST_ATTEMPT = deliveries.c.earlier_attempts + deliveries.c.attempts
_LAST_ERRORS = (
    select(deliveries.c.endpoint, deliveries.c.last_error)
    .join(attempts, (attempts.c.delivery_id == deliveries.c.id) & (attempts.c.number == _NEWEST_ATTEMPT))
    .where(text(f"deliveries.{IS_PENDING}"), deliveries.c.last_error.is_not(None))
    .order_by(attempts.c.at, deliveries.c.id)
)


def events_after(connection: Connection, seq: int, *, limit: int) -> list[StoredEvent]:
    """In order, starting behind `seq`."""
    return many(connection, StoredEvent, select(events).where(events.c.seq > seq).order_by(events.c.seq).limit(limit))


def oldest_seq(connection: Connection) -> int | None:
    """The oldest event that is still kept."""
    return connection.execute(select(func.min(events.c.seq))).scalar()


def last_seq(connection: Connection) -> int:
    """The newest event's number; 0 before the first."""
    return connection.execute(select(func.max(events.c.seq))).scalar() or 0


def newest_event(connection: Connection) -> StoredEvent | None:
    """None before the first."""
    return one(connection, StoredEvent, select(events).order_by(events.c.seq.desc()).limit(1))


def all_endpoints(connection: Connection) -> list[Endpoint]:
    return many(connection, Endpoint, _ENDPOINTS)


def every_endpoint_ever(connection: Connection) -> list[Endpoint]:
    """Also those that were removed: what they were not told is kept."""
    return many(connection, Endpoint, select(endpoints))


def endpoint(connection: Connection, name: str) -> Endpoint | None:
    return one(connection, Endpoint, select(endpoints).where(endpoints.c.name == name))


def lane_heads(connection: Connection, name: str) -> list[Head]:
    """The first waiting delivery of every lane of this endpoint, due or not."""
    return many(connection, Head, _LANE_HEADS, name=name)


def waiting_deliveries(connection: Connection, name: str, *, after: int, now: float, most: int) -> list[Delivery]:
    """The first few of this endpoint behind the event `after` that are due, and so is all of their lane before them.

    In the order of what happened, which is not that of their places where an endpoint is told of what came before it.
    """
    return many(connection, Delivery, _WAITING, name=name, after=after, now=now, most=most)


def untried_trial(connection: Connection, name: str) -> Delivery | None:
    """The newest `webhook.test` that this endpoint was not yet sent once; None where it would go before others."""
    return one(connection, Delivery, _UNTRIED, name=name)


def soonest_attempt(connection: Connection, name: str, *, now: float) -> float | None:
    """When the next of its deliveries becomes due, in Unix seconds; None: none that is not due already."""
    found = _SOONEST.first(connection, {"name": name, "now": now})
    return None if found is None else found[0]


def delivery(connection: Connection, delivery_id: int) -> Delivery | None:
    return one(connection, Delivery, _DELIVERY, of_id=delivery_id)


def deliveries_to(connection: Connection, name: str, *, limit: int) -> list[Delivery]:
    """Newest first."""
    query = (
        select(deliveries).where(deliveries.c.endpoint == name).order_by(deliveries.c.endpoint_seq.desc()).limit(limit)
    )
    return many(connection, Delivery, query)


def delivery_counts(connection: Connection) -> dict[str, dict[str, int]]:
    """endpoint → state → how many."""
    query = select(deliveries.c.endpoint, deliveries.c.state, func.count()).group_by(
        deliveries.c.endpoint, deliveries.c.state
    )
    counts: dict[str, dict[str, int]] = {}
    for name, state, count in connection.execute(query):
        counts.setdefault(name, {})[state] = count
    return counts


def last_errors(connection: Connection) -> dict[str, str]:
    """endpoint → what the newest attempt for a delivery that still waits met."""
    return {row.endpoint: row.last_error for row in connection.execute(_LAST_ERRORS)}


def attempts_of(connection: Connection, delivery_id: int) -> list[dict[str, Any]]:
    query = select(attempts).where(attempts.c.delivery_id == delivery_id).order_by(attempts.c.number)
    return [dict(row) for row in connection.execute(query).mappings()]
