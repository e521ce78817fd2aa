"""The audit trail: requests that changed something, beside the activations that say what came of it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import insert, select

from packd.registry.prepared import Prepared
from packd.registry.tables import activations, audit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection


_INSERT: Final = Prepared(insert(audit))  # built once: building it takes longer than running it


def note(connection: Connection, **row: Any) -> None:
    _INSERT.run(connection, row)


def newest(connection: Connection, *, limit: int, pack: str | None, actor: str | None) -> list[dict[str, Any]]:
    """Newest first; `pack` and `actor` are globs."""
    both = merge(_requests(connection), _activations(connection), key=lambda one: str(one["at"]), reverse=True)
    chosen = (
        one
        for one in both
        if (pack is None or fnmatchcase(one["pack"] or "", pack))
        and (actor is None or fnmatchcase(one["actor"], actor))
    )
    return list(islice(chosen, limit))


def _requests(connection: Connection) -> Iterator[dict[str, Any]]:
    for row in connection.execute(select(audit).order_by(audit.c.at.desc(), audit.c.id.desc())):
        room, _, rest = row.path.removeprefix("/api/v1/").partition("/")
        yield {
            "at": row.at,
            "actor": row.actor,
            "what": f"{row.method} {row.path}",
            "pack": rest.partition("/")[0] if room == "packs" else None,
            "status": row.status,
            "request_id": row.request_id,
        }


def _activations(connection: Connection) -> Iterator[dict[str, Any]]:
    for row in connection.execute(select(activations).order_by(activations.c.at.desc(), activations.c.id.desc())):
        yield {
            "at": row.at,
            "actor": row.actor,
            "what": f"{row.ref}#{row.number} {row.reason.replace('_', ' ')}",
            "pack": row.ref,
            "status": None,
            "request_id": None,
        }
