"""The registry: what is true now and what happened. Every change is one transaction with the events that tell of it."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, insert, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError

from packd.domain.lifecycle import Trigger, after
from packd.domain.moments import rfc3339
from packd.registry import outbox, queries, redelivery
from packd.registry.broken import NotOnDisk
from packd.registry.full_disk import DiskFull, is_full
from packd.registry.heads import Heads
from packd.registry.prepared import Prepared
from packd.registry.queries.reading import made
from packd.registry.rows import Drop, Pack, Revision, Run, StoredEvent
from packd.registry.tables import activations, components, drops, facts, packs, revisions, runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection, Table

    from packd.domain.event_data import EventData
    from packd.domain.manifest import Component
    from packd.registry.database import Database


class Registry:
    """Opens transactions. `committed` is called behind every one that emitted events, in commit order per caller."""

    def __init__(self, database: Database, *, outbox_of: outbox.Outbox, now: Callable[[], float]) -> None:
        self._database = database
        self._outbox = outbox_of
        self._now = now
        self._listeners: list[Callable[[tuple[StoredEvent, ...]], None]] = []
        self._commits = itertools.count(1)
        self.commits = 0  # another number after every commit; what was read while it stayed the same is still true

    def on_commit(self, listener: Callable[[tuple[StoredEvent, ...]], None]) -> None:
        """`listener` gets the events of every transaction that was made, after it is durable or the disk has failed to make
        it so; it must be quick and must not raise."""
        self._listeners.append(listener)

    def read(self, *, durable: bool = False) -> AbstractContextManager[Connection]:
        """One consistent moment, for the functions in `queries`. See `Database.read` for `durable`."""
        return self._database.read(durable=durable)

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Writer]:
        """One transaction: all of it, with its events and deliveries, or nothing. See `Database.write` for `durable`.

        Raises DiskFull when there is no room for it, NotOnDisk when it was made and the disk did not keep it.
        """
        try:
            with self._database.write(durable=durable) as connection:
                writer = Writer(connection, outbox_of=self._outbox, at_s=self._now())
                yield writer
                writer.finish()
        except DBAPIError as failure:
            if is_full(failure):
                raise DiskFull(self._database.shown) from failure
            raise
        except NotOnDisk:
            self._committed(writer)
            raise
        self._committed(writer)

    def _committed(self, writer: Writer) -> None:
        self.commits = next(self._commits)
        if writer.emitted:
            for listener in self._listeners:
                listener(tuple(writer.emitted))


class Writer:
    """What can be changed. Reading inside the transaction goes through `queries` with `self.connection`.

    What is asked again and again about a pack is remembered: `pack`, `latest`, `active`, `candidate`.
    """

    def __init__(self, connection: Connection, *, outbox_of: outbox.Outbox, at_s: float) -> None:
        self.reader = connection  # for questions about packs; it costs less than `connection`, which see
        self.now = rfc3339(at_s)  # one moment for everything in this transaction
        self.emitted: list[StoredEvent] = []
        self._outbox = outbox_of
        self._telling = outbox.Telling(outbox_of, connection)
        self._packs: dict[str, Pack | None] = {}
        self._heads = Heads(connection)
        self._bare: set[tuple[str, int]] = set()  # new revisions that have no components yet

    @property
    def connection(self) -> Connection:
        """For any question and any statement: what was said is written down, and what is remembered is asked again."""
        self._telling.write()
        self._packs, self._heads = {}, Heads(self.reader)
        return self.reader

    def finish(self) -> None:
        """Nothing more is changed."""
        self._telling.write()

    # --- events ----------------------------------------------------------------------------------------------------

    def emit(self, data: EventData, *, correlation_id: str, causation_id: str | None = None) -> StoredEvent:
        """Append an event, and a delivery for everybody who asked for it. The data's class is its type."""
        event = self._telling.say(data, timestamp=self.now, correlation_id=correlation_id, causation_id=causation_id)
        self.emitted.append(event)
        return event

    def tell_again(self, name: str, *, since: str) -> int:
        """Everything since that moment (RFC 3339) leaves again for this endpoint; returns how many deliveries that are."""
        return redelivery.send_all(self.connection, self._outbox, name, since=since)

    # --- drops and packs -------------------------------------------------------------------------------------------

    def save_drop(self, drop: Drop) -> None:
        """Remember what lies there now."""
        self._upsert(drops, ("name",), vars(drop))

    def forget_drop(self, name: str) -> None:
        _DELETE_DROP.run(self.reader, {"of_name": name})

    def pack(self, ref: str) -> Pack | None:
        """As it is now."""
        if ref not in self._packs:
            self._packs[ref] = queries.pack(self.reader, ref)
        return self._packs[ref]

    def claim_pack(self, ref: str, *, drop_name: str | None, path: str) -> Pack:
        """This is where the pack's content comes from, from now on. A drop owns one pack at a time.

        What another pack had on its way from the same place is not there any more: it is superseded.
        """
        known = self.pack(ref)
        if drop_name is not None:
            _RELEASE_DROP.run(self.reader, {"of_drop": drop_name, "but_ref": ref, "drop_name": None})
            self._packs = {ref: known}  # one of the others may have lost it
        pack = Pack(
            ref=ref,
            drop_name=drop_name,
            path=path,
            registered_at=known.registered_at if known else None,
            unregistered_at=None,
            origin="dropped" if drop_name is not None else "registered",
            disabled_at=known.disabled_at if known else None,
        )
        if pack != known:
            self._upsert(packs, ("ref",), vars(pack))
            self._packs[ref] = pack
        for former in queries.packs_left_behind(self.reader, ref, path):
            unfinished = self.candidate(former.ref)
            if unfinished is not None:
                self.move(unfinished, Trigger.SUPERSEDED)
        return pack

    def release(self, ref: str) -> None:
        """It is left behind: no drop owns it, and it stays in use until that is settled."""
        self._change_pack(ref, {"drop_name": None})

    def unregister(self, ref: str) -> None:
        """The pack is gone; its revisions and reports stay."""
        gone = {"unregistered_at": self.now, "registered_at": None, "drop_name": None}
        self._change_pack(ref, gone | {"disabled_at": None})

    def disable(self, ref: str) -> None:
        """Nothing of the pack is to come into use until `enable`."""
        self._change_pack(ref, {"disabled_at": self.now, "registered_at": None})

    def enable(self, ref: str) -> None:
        self._change_pack(ref, {"disabled_at": None})

    def _change_pack(self, ref: str, changes: dict[str, Any]) -> None:
        _UPDATE_PACK.run(self.reader, {"of_ref": ref, **changes})
        self._packs.pop(ref, None)

    # --- revisions -------------------------------------------------------------------------------------------------

    def latest(self, ref: str) -> Revision | None:
        """The newest."""
        return self._heads.latest(ref)

    def active(self, ref: str) -> Revision | None:
        """The one in use."""
        return self._heads.active(ref)

    def candidate(self, ref: str) -> Revision | None:
        """The unfinished one; the schema allows one."""
        return self._heads.candidate(ref)

    def add_revision(self, revision: Revision) -> None:
        """Store a new revision; the schema refuses a second candidate of the same pack."""
        _INSERT_REVISION.run(self.reader, vars(revision))
        self._heads.note(revision)
        self._bare.add((revision.ref, revision.number))

    def change(self, revision: Revision, **changes: Any) -> Revision:
        """Set other fields than the phase."""
        _UPDATE_REVISION.run(self.reader, {"of_ref": revision.ref, "of_number": revision.number, **changes})
        changed = made(Revision, vars(revision) | changes)
        self._heads.note(changed)
        return changed

    def move(self, revision: Revision, by: Trigger, **changes: Any) -> Revision:
        """Follow the lifecycle table. Raises NotATransition for a pair that is not in it."""
        phase = after(revision.phase, by)
        return self.change(revision, phase=phase, phase_at=self.now, **changes)

    def set_components(self, revision: Revision, parts: Iterable[Component]) -> None:
        """Components are rows of their revision."""
        key = (revision.ref, revision.number)
        if key not in self._bare:
            _DELETE_COMPONENTS.run(self.reader, {"of_ref": revision.ref, "of_number": revision.number})
        self._bare.discard(key)
        rows = [
            {
                "ref": revision.ref,
                "number": revision.number,
                "kind": part.kind,
                "component_ref": part.ref,
                "label": part.label,
                "description": part.description,
                "path": part.path,
                "runner_type": part.runner_type,
                "entry_point": part.entry_point,
            }
            for part in parts
        ]
        if rows:
            _INSERT_COMPONENT.run_each(self.reader, rows)

    def activate(self, revision: Revision, previous: Revision | None, *, reason: str, actor: str) -> Revision:
        """Make it the one in use; `previous`, what was in use, becomes superseded in the same step."""
        if previous is not None:
            previous = self.move(previous, Trigger.SUPERSEDED)
        return self._put_in_use(revision, previous, reason=reason, actor=actor)

    def roll_back(
        self, active: Revision, target: Revision, *, actor: str, by: Trigger = Trigger.ROLLED_BACK
    ) -> tuple[Revision, Revision]:
        """Withdraw what is in use, `by` which trigger, and put another one back; returns (withdrawn, restored)."""
        withdrawn = self.move(active, by)
        return withdrawn, self._put_in_use(target, withdrawn, reason="rolled_back", actor=actor)

    def _put_in_use(self, revision: Revision, previous: Revision | None, *, reason: str, actor: str) -> Revision:
        activated = self.move(revision, Trigger.ACTIVATED)
        _INSERT_ACTIVATION.run(
            self.reader,
            {
                "ref": revision.ref,
                "number": revision.number,
                "digest": revision.digest,
                "previous_number": previous.number if previous else None,
                "reason": reason,
                "actor": actor,
                "at": self.now,
            },
        )
        if previous is None:
            self._change_pack(revision.ref, {"registered_at": self.now, "unregistered_at": None})
        return activated

    # --- runs ------------------------------------------------------------------------------------------------------

    def start_run(self, run: Run) -> None:
        _INSERT_RUN.run(self.reader, vars(run))

    def finish_run(
        self, run_id: str, *, status: str, accepted: bool, verdict: str, report: Mapping[str, Any] | None
    ) -> None:
        ending = {"status": status, "accepted": accepted, "verdict": verdict, "report": report}
        _UPDATE_RUN.run(self.reader, {"of_id": run_id, "finished_at": self.now, **ending})

    # --- facts -----------------------------------------------------------------------------------------------------

    def set_fact(self, name: str, value: str) -> None:
        self._upsert(facts, ("name",), {"name": name, "value": value})

    def _upsert(self, table: Table, key: tuple[str, ...], values: dict[str, Any]) -> None:
        _upsert_into(table, key, self.reader.dialect.name).run(self.reader, values)


# Statements are built once: building one takes longer than running it. `of_…` says which row, the rest is what to set.
_DELETE_DROP = Prepared(delete(drops).where(drops.c.name == bindparam("of_name")))
_INSERT_REVISION = Prepared(insert(revisions))
_INSERT_COMPONENT = Prepared(insert(components))
_INSERT_ACTIVATION = Prepared(insert(activations))
_INSERT_RUN = Prepared(insert(runs))
_RELEASE_DROP = Prepared(
    update(packs).where(packs.c.drop_name == bindparam("of_drop"), packs.c.ref != bindparam("but_ref"))
)
_UPDATE_PACK = Prepared(update(packs).where(packs.c.ref == bindparam("of_ref")))
_UPDATE_RUN = Prepared(update(runs).where(runs.c.id == bindparam("of_id")))
_UPDATE_REVISION = Prepared(
    update(revisions).where(revisions.c.ref == bindparam("of_ref"), revisions.c.number == bindparam("of_number"))
)
_DELETE_COMPONENTS = Prepared(
    delete(components).where(components.c.ref == bindparam("of_ref"), components.c.number == bindparam("of_number"))
)


@cache
def _upsert_into(table: Table, key: tuple[str, ...], dialect: str) -> Prepared:
    statement: Any = sqlite.insert(table)
    if dialect != "sqlite":
        from sqlalchemy.dialects import postgresql  # a fortieth of a start, for those who do not use it

        statement = postgresql.insert(table)
    others = {column.name: statement.excluded[column.name] for column in table.c if column.name not in key}
    return Prepared(statement.on_conflict_do_update(index_elements=list(key), set_=others))
