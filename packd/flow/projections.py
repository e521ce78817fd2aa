"""What follows from the registry on disk: the `active/` links, the markers, and the dropped folder if it is restored.

Updated behind every commit, before anybody is told; rebuilt as a whole at start. Losing one delays nothing but itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from packd.domain import event_data as said
from packd.flow.explain import explain_drop, is_refused
from packd.registry import queries

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from packd.flow.links import Links
    from packd.flow.markers import Markers
    from packd.registry.registry import Registry
    from packd.registry.rows import Drop, StoredEvent
    from packd.snapshot.store import Store

_IN_USE_CHANGES: Final = frozenset(
    model.type for model in (said.PackRegistered, said.PackUpdated, said.PackRolledBack, said.PackUnregistered)
)


class Projections:
    """Keeps links and markers in line with the registry."""

    def __init__(self, *, registry: Registry, store: Store, links: Links, markers: Markers) -> None:
        self._registry = registry
        self._store = store
        self._links = links
        self._markers = markers
        self._unshown = False  # what is true of a pack could not be asked

    def committed(self, events: tuple[StoredEvent, ...]) -> None:
        """Called behind every transaction that emitted events."""
        refs = {event.subject.removeprefix("packs/") for event in events if event.type in _IN_USE_CHANGES}
        for ref in sorted(refs):
            self.show(ref)

    def show(self, ref: str) -> None:
        """Make the link of one pack and the markers of its drops say what is true now.

        Where that can't be asked it is left to the next look at everything.
        """
        number = self._links.number()
        try:
            self._show(ref, number)
        except BaseException:
            self._unshown = True
            raise

    def _show(self, ref: str, number: int) -> None:
        with self._registry.read() as connection:
            digest = queries.active_digest(connection, ref)
            pack = queries.pack(connection, ref)
            drops: dict[str, Drop | None] = {drop.name: drop for drop in queries.drops_claiming(connection, ref)}
            if pack is not None and pack.drop_name is not None and pack.drop_name not in drops:
                drops[pack.drop_name] = queries.drop(connection, pack.drop_name)
            said = {name: self._markers_of(connection, drop) for name, drop in sorted(drops.items())}
        self._links.point(ref, None if digest is None else self._store.path(digest), number=number)
        for name, (failed, in_use) in said.items():
            self._markers.show(name, failed=failed, active=in_use, number=number)

    def withdraw(self, drop: str) -> None:
        """Take the markers of a drop that is gone."""
        self._markers.clear(drop, number=self._links.number())

    @property
    def owes_markers(self) -> bool:
        """Was one not put right because something was in the way, as a packs directory that is read-only, and may be by
        now?"""
        return (self._unshown or bool(self._markers.owed)) and self._markers.may_be_written

    def put_markers_right(self) -> None:
        """Those that are there, which another mode or a crash may have left, and those that are missing."""
        self._unshown, self._markers.owed, owed = False, set(), self._markers.owed
        try:
            for name in sorted(self._with_markers() | owed):
                self._put_right(name, was_ours=name in owed)
        except BaseException:
            self._unshown = True
            self._markers.owed |= owed
            raise

    def _with_markers(self) -> set[str]:
        """The drops that have one, or are to have one."""
        names = self._markers.beside()
        with self._registry.read() as connection:
            if self._markers.tells_of_failed:
                names |= queries.names_of_refused(connection)
            if self._markers.tells_of_active:
                names |= {pack.drop_name for pack in queries.present_packs(connection) if pack.drop_name is not None}
        return names

    def _put_right(self, name: str, *, was_ours: bool) -> None:
        """`was_ours`: what lies beside a drop that nobody knows any more is to go."""
        number = self._links.number()
        with self._registry.read() as connection:
            drop = queries.drop(connection, name)
            failed, in_use = self._markers_of(connection, drop)
        if drop is not None or was_ours:
            self._markers.show(name, failed=failed, active=in_use, number=number)

    def _markers_of(self, connection: Connection, drop: Drop | None) -> tuple[str | None, str | None]:
        """The texts of `.failed` and `.active` beside one drop. Nothing is put into words that nobody will read."""
        if drop is None or drop.gone_at_s is not None:
            return None, None
        if not (self._markers.tells_of_active or is_refused(connection, drop)):
            return None, None
        explanation = explain_drop(connection, drop)
        if explanation is None:
            return None, None
        text = explanation.text()
        return text if explanation.refused else None, text if explanation.active else None

    def rebuild(self) -> int:
        """Make every link right; returns how many were wrong. What comes into use meanwhile is left as it is shown."""
        number = self._links.number()
        with self._registry.read() as connection:
            digests = queries.active_digests(connection)
        trees = {ref: self._store.path(digest) for ref, digest in digests.items()}
        return self._links.rebuild(trees, number=number)
