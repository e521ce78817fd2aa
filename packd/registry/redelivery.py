"""Changes to endpoints and to what they are still to be told, as people and attempts bring them about."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from sqlalchemy import and_, bindparam, or_, select, update

from packd.domain.subscriptions import TRIAL, subscribes
from packd.registry import queries
from packd.registry.outbox import LANE
from packd.registry.rows import Endpoint, StoredEvent
from packd.registry.tables import deliveries, endpoints, events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Connection

    from packd.domain.breaker import Health
    from packd.registry.outbox import Outbox

_CHANGE: Final = update(endpoints).where(endpoints.c.name == bindparam("of_name"))
_IS_PENDING: Final = deliveries.c.state == "pending"
_EVENTS_AT_ONCE: Final = 500


def set_health(connection: Connection, name: str, health: Health) -> None:
    """What the newest attempts say of it."""
    connection.execute(_CHANGE, {"of_name": name, **asdict(health)})


def set_secret(connection: Connection, endpoint: Endpoint, secret: str, *, previous_until_s: float) -> None:
    """From now on this one signs; the one before it signs as well until then (Unix seconds)."""
    values = {"secret": secret, "previous_secret": endpoint.secret, "previous_secret_until_s": previous_until_s}
    connection.execute(_CHANGE, {"of_name": endpoint.name, **values})


def forget_previous_secret(connection: Connection, name: str) -> None:
    values = {"previous_secret": None, "previous_secret_until_s": None}
    connection.execute(_CHANGE, {"of_name": name, **values})


def send_again(connection: Connection, ids: Sequence[int]) -> int:
    """These deliveries leave as soon as their lane lets them, with the same bytes; returns how many there were."""
    return _requeue(connection, deliveries.c.id.in_(ids))


def send_undelivered(connection: Connection, name: str, *, since: str) -> int:
    """Everything since that moment (RFC 3339 in UTC) that has not arrived."""
    return _requeue(connection, _of(name, since) & (deliveries.c.state != "delivered"))


def send_all(connection: Connection, outbox: Outbox, name: str, *, since: str) -> int:
    """Everything since that moment, also what it was never told because it was not there yet."""
    known = _requeue(connection, _of(name, since))
    return known + _tell_missing(connection, outbox, name, since)


def release(connection: Connection, name: str) -> None:
    """What was held for an endpoint that is enabled again leaves without waiting any longer."""
    connection.execute(
        update(deliveries).where(deliveries.c.endpoint == name, _IS_PENDING).values(next_attempt_at_s=None)
    )


def _of(name: str, since: str) -> ColumnElement[bool]:
    return and_(deliveries.c.endpoint == name, deliveries.c.created_at >= since)


def _requeue(connection: Connection, which: ColumnElement[bool]) -> int:
    """What has ended begins anew; what waits only leaves sooner, for it may be on its way at this very moment."""
    waiting = connection.execute(update(deliveries).where(which, _IS_PENDING).values(next_attempt_at_s=None)).rowcount
    anew = {
        "state": "pending",
        "lane": LANE,
        "earlier_attempts": deliveries.c.earlier_attempts + deliveries.c.attempts,
        "attempts": 0,
        "next_attempt_at_s": None,
        "last_error": None,
        "finished_at": None,
    }
    return waiting + connection.execute(update(deliveries).where(which, ~_IS_PENDING).values(anew)).rowcount


def _tell_missing(connection: Connection, outbox: Outbox, name: str, since: str) -> int:
    """Events that it asks for and has no delivery of. They get new places, in their order."""
    endpoint = queries.endpoint(connection, name)
    if endpoint is None:
        return 0
    had = select(deliveries.c.id).where(deliveries.c.endpoint == name, deliveries.c.event_seq == events.c.seq).exists()
    last, place = 0, endpoint.last_endpoint_seq
    while True:
        query = (
            select(events)
            .where(events.c.seq > last, events.c.timestamp >= since, ~had)
            .where(or_(events.c.type != TRIAL, events.c.subject == f"webhooks/{name}"))
            .order_by(events.c.seq)
            .limit(_EVENTS_AT_ONCE)
        )
        found = queries.many(connection, StoredEvent, query)
        told = [
            event
            for event in found
            if subscribes(endpoint.types, endpoint.packs, event.type, event.subject, endpoint=name)
        ]
        outbox.fan_out(connection, told, endpoint, after=place)
        place += len(told)
        if len(found) < _EVENTS_AT_ONCE:
            return place - endpoint.last_endpoint_seq
        last = found[-1].seq
