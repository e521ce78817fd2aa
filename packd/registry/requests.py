"""What is written about requests: jobs that go on behind the answer, answers that are given once, and tokens."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, insert, update

from packd.registry.tables import idempotency_keys, jobs, tokens

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from packd.registry.rows import Job, Kept, Token

_END_JOB = update(jobs).where(jobs.c.id == bindparam("of_id"))
_ANSWERED = update(idempotency_keys).where(
    idempotency_keys.c.actor == bindparam("of_actor"), idempotency_keys.c.key == bindparam("of_key")
)
_TOKEN = update(tokens).where(tokens.c.id == bindparam("of_id"))


def add_job(connection: Connection, job: Job) -> None:
    connection.execute(insert(jobs).values(asdict(job)))


def end_job(
    connection: Connection, job_id: str, *, state: str, finished_at: str, status: int, answer: dict[str, Any]
) -> None:
    values = {"state": state, "finished_at": finished_at, "status": status, "answer": answer}
    connection.execute(_END_JOB, {"of_id": job_id, **values})


def forget_jobs(connection: Connection, *, before: str) -> None:
    """Those that ended, and began before then (RFC 3339)."""
    connection.execute(delete(jobs).where(jobs.c.created_at < before, jobs.c.finished_at.is_not(None)))


def keep_request(connection: Connection, kept: Kept) -> None:
    """A request with a key begins."""
    connection.execute(insert(idempotency_keys).values(asdict(kept)))


def keep_answer(connection: Connection, kept: Kept) -> None:
    """And this is what was answered."""
    given = {"status": kept.status, "headers": [list(pair) for pair in kept.headers or ()], "body": kept.body}
    connection.execute(_ANSWERED, {"of_actor": kept.actor, "of_key": kept.key, **given})


def forget_request(connection: Connection, actor: str, key: str) -> None:
    """It came to nothing that would be the same the next time."""
    mine = (idempotency_keys.c.actor == actor) & (idempotency_keys.c.key == key)
    connection.execute(delete(idempotency_keys).where(mine))


def forget_requests(connection: Connection, *, before_s: float) -> None:
    """Those that began before then (Unix seconds)."""
    connection.execute(delete(idempotency_keys).where(idempotency_keys.c.created_at_s < before_s))


def forget_unanswered(connection: Connection) -> None:
    """Those that were at work when the daemon ended."""
    connection.execute(delete(idempotency_keys).where(idempotency_keys.c.status.is_(None)))


def add_token(connection: Connection, token: Token) -> None:
    connection.execute(insert(tokens).values(asdict(token)))


def revoke_token(connection: Connection, token_id: str, *, at: str) -> None:
    connection.execute(_TOKEN, {"of_id": token_id, "revoked_at": at})


def token_was_used(connection: Connection, token_id: str, *, at_s: float) -> None:
    connection.execute(_TOKEN, {"of_id": token_id, "last_used_at_s": at_s})
