"""The few revisions of a pack that matter, as a transaction knows them: asked once, then kept up with what it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packd.domain.lifecycle import UNFINISHED, Phase
from packd.registry import queries

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from packd.registry.rows import Revision


class Heads:
    """By ref: the newest revision, the one in use, the unfinished one. Nobody else changes any meanwhile."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._latest: dict[str, Revision | None] = {}
        self._active: dict[str, Revision | None] = {}
        self._candidate: dict[str, Revision | None] = {}

    def latest(self, ref: str) -> Revision | None:
        """Often it answers the other two questions as well: of each kind there is one at most."""
        if ref not in self._latest:
            found = self._latest[ref] = queries.latest_revision(self._connection, ref)
            if found is None or found.phase == Phase.ACTIVE:
                self._active[ref] = found
            if found is None or found.phase in UNFINISHED:
                self._candidate[ref] = found
        return self._latest[ref]

    def active(self, ref: str) -> Revision | None:
        if ref not in self._active:
            self._active[ref] = queries.active_revision(self._connection, ref)
        return self._active[ref]

    def candidate(self, ref: str) -> Revision | None:
        if ref not in self._candidate:
            self._candidate[ref] = queries.candidate(self._connection, ref)
        return self._candidate[ref]

    def note(self, revision: Revision) -> None:
        """It is new, or was changed."""
        ref = revision.ref
        if ref in self._latest:
            latest = self._latest[ref]
            if latest is None or latest.number <= revision.number:
                self._latest[ref] = revision
        _note(self._active, revision, is_one=revision.phase == Phase.ACTIVE)
        _note(self._candidate, revision, is_one=revision.phase in UNFINISHED)


def _note(known: dict[str, Revision | None], revision: Revision, *, is_one: bool) -> None:
    if is_one:
        known[revision.ref] = revision
        return
    before = known.get(revision.ref)
    if before is not None and before.number == revision.number:
        known[revision.ref] = None
