"""What is asked about deliveries by people and by monitoring: pages of them, and how much waits for whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select, text

from packd.registry.conditions import IS_PENDING
from packd.registry.queries.reading import many
from packd.registry.rows import Delivery
from packd.registry.tables import deliveries, endpoints

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import ColumnElement, Connection

_PENDING: Final = deliveries.c.state == "pending"
_WAITING: Final = text(f"deliveries.{IS_PENDING}")  # in the words of the index, so that few rows are read
_ENABLED: Final = endpoints.c.state == "enabled"


@dataclass(frozen=True, kw_only=True)
class DeliveryChoice:
    """Which deliveries somebody wants to see; None: whichever."""

    endpoint: str | None = None
    state: str | None = None  # as in the rows, where `held` is pending for an endpoint that is not enabled
    event_type: str | None = None
    event_id: str | None = None
    subject: str | None = None


def delivery_page(connection: Connection, choice: DeliveryChoice, *, offset: int, limit: int) -> list[Delivery]:
    """Newest first."""
    query = _chosen(select(deliveries), choice).order_by(deliveries.c.id.desc()).offset(offset).limit(limit)
    return many(connection, Delivery, query)


def delivery_total(connection: Connection, choice: DeliveryChoice) -> int:
    """How many there are of them."""
    return connection.execute(_chosen(select(func.count()).select_from(deliveries), choice)).scalar() or 0


def _chosen(query: Any, choice: DeliveryChoice) -> Any:
    query = query.join(endpoints, endpoints.c.name == deliveries.c.endpoint)
    return query.where(*_conditions(choice))


def _conditions(choice: DeliveryChoice) -> Iterator[ColumnElement[bool]]:
    for name in ("endpoint", "event_type", "event_id", "subject"):
        if (value := getattr(choice, name)) is not None:
            yield deliveries.c[name] == value
    if choice.state == "held":
        yield _PENDING & ~_ENABLED
    elif choice.state == "pending":
        yield _PENDING & _ENABLED
    elif choice.state is not None:
        yield deliveries.c.state == choice.state


def backlog(connection: Connection) -> dict[str, tuple[int, str]]:
    """endpoint → how many of its deliveries wait, and since when the oldest of them (RFC 3339)."""
    query = (
        select(deliveries.c.endpoint, func.count(), func.min(deliveries.c.created_at))
        .where(_WAITING)
        .group_by(deliveries.c.endpoint)
    )
    return {name: (count, oldest) for name, count, oldest in connection.execute(query)}


def retrying(connection: Connection) -> dict[str, int]:
    """endpoint → how many of its waiting deliveries were tried before."""
    query = (
        select(deliveries.c.endpoint, func.count().label("waiting"))
        .where(_WAITING, deliveries.c.attempts > 0)
        .group_by(deliveries.c.endpoint)
    )
    return {row.endpoint: row.waiting for row in connection.execute(query)}
