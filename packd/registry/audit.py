"""The audit trail: requests that changed something, beside the activations that say what came of it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, insert, select, update

from packd.registry.prepared import Prepared
from packd.registry.tables import activations, audit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection


_INSERT: Final = Prepared(insert(audit))  # built once: building it takes longer than running it
_ABOUT: Final = update(audit).where(audit.c.request_id == bindparam("of_request")).values(packs=bindparam("of_packs"))


def note(connection: Connection, **row: Any) -> None:
    _INSERT.run(connection, row)


def about(connection: Connection, request_id: str, packs: list[str]) -> bool:
    """What a request that was noted turned out to be about; False: it is not noted yet."""
    return connection.execute(_ABOUT, {"of_request": request_id, "of_packs": packs}).rowcount > 0


def newest(connection: Connection, *, limit: int, pack: str | None, actor: str | None) -> list[dict[str, Any]]:
    """Newest first; `pack` and `actor` are globs."""
    both = merge(_requests(connection), _activations(connection), key=lambda one: str(one["at"]), reverse=True)
    chosen = (
        one
        for one in both
        if (pack is None or any(fnmatchcase(ref, pack) for ref in one["packs"] or ("",)))
        and (actor is None or fnmatchcase(one["actor"], actor))
    )
    return list(islice(chosen, limit))


def _requests(connection: Connection) -> Iterator[dict[str, Any]]:
    for row in connection.execute(select(audit).order_by(audit.c.at.desc(), audit.c.id.desc())):
        yield {
            "at": row.at,
            "actor": row.actor,
            "what": f"{row.method} {row.path}",
            **_of(row.packs or []),
            "status": row.status,
            "request_id": row.request_id,
        }


def _activations(connection: Connection) -> Iterator[dict[str, Any]]:
    for row in connection.execute(select(activations).order_by(activations.c.at.desc(), activations.c.id.desc())):
        yield {
            "at": row.at,
            "actor": row.actor,
            "what": f"{row.ref}#{row.number} {row.reason.replace('_', ' ')}",
            **_of([row.ref]),
            "status": None,
            "request_id": None,
        }


def _of(packs: list[str]) -> dict[str, Any]:
    return {"pack": packs[0] if packs else None, "packs": packs}
