"""Who did what: every request that changes something, and every revision that came into use, whoever asked for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from packd.registry import audit

if TYPE_CHECKING:
    from packd.flow.clock import Clock
    from packd.registry.registry import Registry


class AuditTrail:
    """Written beside what was done, kept as long as events are."""

    def __init__(self, *, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock

    def note(self, *, actor: str, method: str, path: str, status: int | None, request_id: str) -> None:
        """One request that may have changed something; `status` None: it was not answered."""
        row = {"actor": actor, "method": method, "path": path, "status": status, "request_id": request_id}
        with self._registry.write() as tx:
            audit.note(tx.connection, at=tx.now, **row)

    def newest(self, *, limit: int, pack: str | None = None, actor: str | None = None) -> list[dict[str, Any]]:
        """Newest first: `{at, actor, what, status, request_id}`; `pack` and `actor` are globs."""
        with self._registry.read() as connection:
            return audit.newest(connection, limit=limit, pack=pack, actor=actor)
