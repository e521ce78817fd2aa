"""Removing what is old. What is still to be told is never removed, and neither is the newest of anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import case, delete, func, select, text, update

from packd.registry.conditions import IS_PENDING
from packd.registry.tables import audit, deliveries, endpoints, events, runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Case, ColumnElement, Connection, TextClause


def forget_events(connection: Connection, *, before: str, most: int) -> int:
    """Events older than `before` (RFC 3339), at most `most`; the newest event stays. Returns how many went."""
    newest = select(func.max(events.c.seq)).scalar_subquery()
    chosen = select(events.c.seq).where(events.c.timestamp < before, events.c.seq < newest).order_by(events.c.seq)
    return connection.execute(delete(events).where(events.c.seq.in_(chosen.limit(most)))).rowcount


def forget_deliveries(connection: Connection, *, before: str, most: int) -> int:
    """Deliveries that came to an end before that, or will never, with their attempts; at most `most`. Returns how many went."""
    removed = select(endpoints.c.name).where(endpoints.c.state == "removed")
    ended = (deliveries.c.state != "pending") & (deliveries.c.finished_at < before)
    never = (deliveries.c.state == "pending") & deliveries.c.endpoint.in_(removed) & (deliveries.c.created_at < before)
    chosen = select(deliveries.c.id).where(ended | never)
    return connection.execute(delete(deliveries).where(deliveries.c.id.in_(chosen.limit(most)))).rowcount


def forget_audit(connection: Connection, *, before: str, most: int) -> int:
    """Requests from before that, at most `most`. Returns how many went."""
    chosen = select(audit.c.id).where(audit.c.at < before).limit(most)
    return connection.execute(delete(audit).where(audit.c.id.in_(chosen))).rowcount


def overlook(connection: Connection, *, for_s: float, now: float) -> None:
    """In so much of the time until `now` nothing was tried, or none went by: it says nothing against an endpoint."""
    since = endpoints.c.failing_since_s
    later = case((since + for_s < now, since + for_s), else_=now)
    connection.execute(update(endpoints).where(since.is_not(None)).values(failing_since_s=later))


def bring_forward(connection: Connection, *, by_s: float) -> int:
    """The clock went back by so much: what waits for a moment waits no longer for that. Returns how many deliveries."""
    for column in (endpoints.c.paused_until_s, endpoints.c.resting_until_s):
        connection.execute(update(endpoints).where(column.is_not(None)).values({column: column - by_s}))
    waiting = (deliveries.c.state == "pending", deliveries.c.next_attempt_at_s.is_not(None))
    earlier = {deliveries.c.next_attempt_at_s: deliveries.c.next_attempt_at_s - by_s}
    return connection.execute(update(deliveries).where(*waiting).values(earlier)).rowcount


def too_late(connection: Connection, latest: Sequence[float], *, now: float) -> bool:
    """Does a delivery wait for a moment after the `latest` for its number of attempts, and not because it was asked to?"""
    return connection.execute(select(deliveries.c.id).where(*_too_late(latest, now)).limit(1)).first() is not None


def pull_in(connection: Connection, latest: Sequence[float], *, now: float) -> int:
    """These wait until that moment and no longer. Returns how many there were."""
    earlier = update(deliveries).where(*_too_late(latest, now)).values(next_attempt_at_s=_of_attempts(latest))
    return connection.execute(earlier).rowcount


def _too_late(latest: Sequence[float], now: float) -> tuple[ColumnElement[bool] | TextClause, ...]:
    asked_for = select(endpoints.c.name).where(endpoints.c.paused_until_s > now)
    waiting = (text(f"deliveries.{IS_PENDING}"), deliveries.c.endpoint.not_in(asked_for))
    return *waiting, deliveries.c.next_attempt_at_s > _of_attempts(latest)


def _of_attempts(latest: Sequence[float]) -> Case[float]:
    return case(*((deliveries.c.attempts == made, latest[made]) for made in range(len(latest))), else_=latest[-1])


def forget_reports(connection: Connection, *, before: str, most: int) -> int:
    """Reports of runs that ended before that, except each pack's last; that they ran, and how, stays. Returns how many."""
    last = select(func.max(runs.c.started_at)).where(runs.c.report.is_not(None)).group_by(runs.c.ref)
    chosen = select(runs.c.id).where(
        runs.c.finished_at < before, runs.c.report.is_not(None), runs.c.started_at.not_in(last)
    )
    return connection.execute(update(runs).where(runs.c.id.in_(chosen.limit(most))).values(report=None)).rowcount
