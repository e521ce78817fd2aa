"""What is asked about runs of suites."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select

from packd.registry.prepared import Prepared
from packd.registry.queries.reading import many, one
from packd.registry.rows import Run
from packd.registry.tables import runs

if TYPE_CHECKING:
    from sqlalchemy import Connection

_RUN = Prepared(select(runs).where(runs.c.id == bindparam("run_id")))
_NEWEST_FIRST = (runs.c.started_at.desc(), runs.c.id.desc())


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
    query = select(runs).where(runs.c.ref == ref, runs.c.number == number).order_by(*_NEWEST_FIRST).limit(1)
    return one(connection, Run, query)


def unfinished_runs(connection: Connection) -> list[Run]:
    """Runs that were under way when the daemon ended."""
    return many(connection, Run, select(runs).where(runs.c.finished_at.is_(None)))
