"""What is asked about jobs, answers that are given once, and tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from packd.registry.queries.reading import many, one
from packd.registry.rows import Job, Kept, Token
from packd.registry.tables import idempotency_keys, jobs, tokens

if TYPE_CHECKING:
    from sqlalchemy import Connection


def job(connection: Connection, job_id: str) -> Job | None:
    return one(connection, Job, select(jobs).where(jobs.c.id == job_id))


def job_page(connection: Connection, *, first: int, size: int) -> list[Job]:
    """Newest first."""
    query = select(jobs).order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).offset(first).limit(size)
    return many(connection, Job, query)


def job_count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(jobs)).scalar() or 0


def running_jobs(connection: Connection) -> list[Job]:
    """Those that were under way when the daemon ended, if it has just started."""
    return many(connection, Job, select(jobs).where(jobs.c.finished_at.is_(None)))


def kept_request(connection: Connection, actor: str, key: str) -> Kept | None:
    mine = (idempotency_keys.c.actor == actor) & (idempotency_keys.c.key == key)
    return one(connection, Kept, select(idempotency_keys).where(mine))


def token_of_digest(connection: Connection, digest: str) -> Token | None:
    return one(connection, Token, select(tokens).where(tokens.c.digest == digest))


def token(connection: Connection, token_id: str) -> Token | None:
    return one(connection, Token, select(tokens).where(tokens.c.id == token_id))


def all_tokens(connection: Connection) -> list[Token]:
    """Newest first, also those that don't hold any more."""
    return many(connection, Token, select(tokens).order_by(tokens.c.created_at.desc(), tokens.c.id.desc()))
