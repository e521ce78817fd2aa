"""What is asked about runs of suites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, func, select

from packd.registry.prepared import Prepared
from packd.registry.queries.reading import many, one
from packd.registry.rows import Run
from packd.registry.tables import revisions, runs

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import ColumnElement, Connection

_RUN = Prepared(select(runs).where(runs.c.id == bindparam("run_id")))
_NEWEST_FIRST = (runs.c.started_at.desc(), runs.c.id.desc())
_LATEST_RUN = Prepared(
    select(runs)
    .where(runs.c.ref == bindparam("of_ref"), runs.c.number == bindparam("of_number"))
    .order_by(*_NEWEST_FIRST)
    .limit(1)
)

_DECIDING_RUN = Prepared(
    select(runs)
    .where(
        runs.c.ref == bindparam("of_ref"), runs.c.number == bindparam("of_number"), runs.c.trigger_reason != "manual"
    )
    .order_by(*_NEWEST_FIRST)
    .limit(1)
)

_WITH_REPORT = (runs.c.finished_at.is_not(None), runs.c.report.is_not(None))


@dataclass(frozen=True, kw_only=True)
class RunFilter:
    """Which runs somebody wants; None: any."""

    ref: str | None = None
    statuses: Collection[str] = ()  # of the report, or `running`; empty: any
    triggers: Collection[str] = ()  # install, update, manual, validation; empty: any
    since: str | None = None  # started at this moment or later (RFC 3339 in UTC, as it is stored)

    def conditions(self) -> list[ColumnElement[bool]]:
        asked: list[ColumnElement[bool]] = []
        if self.ref is not None:
            asked.append(runs.c.ref == self.ref)
        if self.statuses:
            running = runs.c.finished_at.is_(None) if "running" in self.statuses else None
            ended = runs.c.status.in_(sorted(self.statuses))
            asked.append(ended if running is None else ended | running)
        if self.triggers:
            asked.append(runs.c.trigger_reason.in_(sorted(self.triggers)))
        if self.since is not None:
            asked.append(runs.c.started_at >= self.since)
        return asked


def run(connection: Connection, run_id: str) -> Run | None:
    return one(connection, Run, _RUN, run_id=run_id)


def finished_run(connection: Connection, run_id: str) -> Run:
    """The run, which must exist. Raises LookupError."""
    found = run(connection, run_id)
    if found is None:
        raise LookupError(run_id)
    return found


def run_history(connection: Connection, ref: str) -> list[Run]:
    """Newest first."""
    query = select(runs).where(runs.c.ref == ref).order_by(*_NEWEST_FIRST)
    return many(connection, Run, query)


def latest_run(connection: Connection, ref: str, number: int) -> Run | None:
    """The last run of this revision."""
    return one(connection, Run, _LATEST_RUN, of_ref=ref, of_number=number)


def deciding_run(connection: Connection, ref: str, number: int) -> Run | None:
    """The last run that anything followed from: what somebody tests by hand changes nothing about a revision."""
    return one(connection, Run, _DECIDING_RUN, of_ref=ref, of_number=number)


def unfinished_runs(connection: Connection) -> list[Run]:
    """Runs that were under way when the daemon ended."""
    return many(connection, Run, select(runs).where(runs.c.finished_at.is_(None)))


def not_passing_any_more(connection: Connection) -> list[tuple[str, int, str]]:
    """(ref, number, run id) of what is in use and did not pass when it was last tested again."""
    last = (
        select(runs.c.ref, runs.c.number, func.max(runs.c.started_at).label("started_at"))
        .where(runs.c.trigger_reason == "validation", runs.c.accepted.is_not(None))
        .group_by(runs.c.ref, runs.c.number)
        .subquery()
    )
    query = (
        select(runs.c.ref, runs.c.number, runs.c.id)
        .join(last, and_(*(runs.c[name] == last.c[name] for name in ("ref", "number", "started_at"))))
        .join(revisions, and_(revisions.c.ref == runs.c.ref, revisions.c.number == runs.c.number))
        .where(revisions.c.phase == "active", runs.c.accepted.is_(False), runs.c.status != "error")
        .order_by(runs.c.ref)
    )
    return [(row.ref, row.number, row.id) for row in connection.execute(query)]


def run_page(connection: Connection, wanted: RunFilter, *, limit: int, offset: int) -> list[Run]:
    """Newest first, so many behind the first `offset`."""
    query = select(runs).where(*wanted.conditions()).order_by(*_NEWEST_FIRST).limit(limit).offset(offset)
    return many(connection, Run, query)


def count_runs(connection: Connection, wanted: RunFilter) -> int:
    query = select(func.count()).select_from(runs).where(*wanted.conditions())
    return connection.execute(query).scalar() or 0


def latest_report(connection: Connection, ref: str, *, number: int | None = None) -> Run | None:
    """The newest run that has a report; with `number` of that revision."""
    asked = [runs.c.ref == ref, *_WITH_REPORT, *([runs.c.number == number] if number is not None else [])]
    return one(connection, Run, select(runs).where(*asked).order_by(*_NEWEST_FIRST).limit(1))


def report_before(connection: Connection, newer: Run, *, other_content: bool) -> Run | None:
    """The newest run with a report that began before `newer`; with `other_content` only one of another digest."""
    asked: list[Any] = [
        runs.c.ref == newer.ref,
        *_WITH_REPORT,
        (runs.c.started_at < newer.started_at) | ((runs.c.started_at == newer.started_at) & (runs.c.id < newer.id)),
    ]
    if other_content:
        same = select(revisions.c.digest).where(revisions.c.ref == newer.ref, revisions.c.number == newer.number)
        asked.append(revisions.c.digest != same.scalar_subquery())
    query = (
        select(runs)
        .join(revisions, (revisions.c.ref == runs.c.ref) & (revisions.c.number == runs.c.number))
        .where(*asked)
        .order_by(*_NEWEST_FIRST)
        .limit(1)
    )
    return one(connection, Run, query)


def digests_of(connection: Connection, ref: str, numbers: Collection[int]) -> dict[int, str]:
    """number → digest of these revisions of a pack."""
    query = select(revisions.c.number, revisions.c.digest).where(
        revisions.c.ref == ref, revisions.c.number.in_(sorted(numbers))
    )
    return {row.number: row.digest for row in connection.execute(query)}


def reports_of_content(connection: Connection, ref: str, digest: str, *, limit: int) -> list[dict[str, Any]]:
    """What the newest runs of one content of a pack reported, whichever of its revisions they ran for."""
    query = (
        select(runs.c.report)
        .join(revisions, (revisions.c.ref == runs.c.ref) & (revisions.c.number == runs.c.number))
        .where(runs.c.ref == ref, revisions.c.digest == digest, *_WITH_REPORT)
        .order_by(*_NEWEST_FIRST)
        .limit(limit)
    )
    return list(connection.execute(query).scalars())
