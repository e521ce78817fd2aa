"""Who did what: every request that changes something, and every revision that came into use, whoever asked for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from packd.registry import audit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packd.flow.clock import Clock
    from packd.registry.registry import Registry


class AuditTrail:
    """Written beside what was done, kept as long as events are."""

    def __init__(self, *, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock
        self._early: dict[str, list[str]] = {}  # by request: a job that was faster than the answer which names it

    def note(
        self, *, actor: str, method: str, path: str, status: int | None, request_id: str, packs: Iterable[str] = ()
    ) -> None:
        """One request that may have changed something, and which packs; `status` None: it was not answered."""
        row = {"actor": actor, "method": method, "path": path, "status": status, "request_id": request_id}
        with self._registry.write() as tx:
            known = list(packs) or self._early.pop(request_id, [])
            audit.note(tx.connection, at=tx.now, packs=known or None, **row)

    def about(self, request_id: str, packs: Iterable[str]) -> None:
        """Which packs a request turned out to be about, after it was answered: before it is noted, or afterwards."""
        with self._registry.write() as tx:  # the only writer: between looking and remembering nobody notes anything
            if not audit.about(tx.connection, request_id, list(packs)):
                self._early[request_id] = list(packs)

    def newest(self, *, limit: int, pack: str | None = None, actor: str | None = None) -> list[dict[str, Any]]:
        """Newest first: `{at, actor, what, pack, packs, status, request_id}`; `pack` and `actor` are globs."""
        with self._registry.read() as connection:
            return audit.newest(connection, limit=limit, pack=pack, actor=actor)
