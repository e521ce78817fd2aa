"""Taking a pack out of use and putting it back: remove, disable, enable. What lies in the packs directory stays there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from packd.domain.event_data import PackRegistered, PackUnregistered
from packd.domain.failures import Code, Failure
from packd.domain.lifecycle import Trigger
from packd.domain.manifest import plural
from packd.domain.moments import in_a_sentence
from packd.flow import tell
from packd.flow.outcomes import supersede_candidate, unregister
from packd.flow.pipeline import lane
from packd.flow.way_back import broken_by
from packd.registry import queries
from packd.registry.rows import Pack

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from packd.flow.clock import Clock
    from packd.flow.occasion import Door
    from packd.flow.pipeline import Pipeline
    from packd.flow.runs import Runs
    from packd.flow.settling import Settling
    from packd.flow.unread import Unread
    from packd.flow.workers import Lanes
    from packd.registry.registry import Registry, Writer
    from packd.registry.rows import Drop, Revision


@dataclass(frozen=True, kw_only=True)
class TakenOut:
    """A pack that is not in use any more."""

    last: Revision | None  # what was in use
    drop: str | None  # what still lies in the packs directory, and is left alone
    needed_by: tuple[str, ...]  # packs in use that need it


@dataclass(frozen=True, kw_only=True)
class PutBack:
    """A pack that is not disabled any more."""

    active: Revision | None = None  # what was in use before, and is again
    lacking: str = ""  # in words: why it is not; empty: it is, or nothing was
    drop: str | None = None  # what lies in the packs directory, and is looked at


class Availability:
    """Each waits its turn in the lane of the pack; what is on its way has been taken out of the pipeline by then."""

    def __init__(
        self,
        *,
        registry: Registry,
        pipeline: Pipeline,
        runs: Runs,
        settling: Settling,
        lanes: Lanes,
        clock: Clock,
        unread: Unread,
    ) -> None:
        self._registry = registry
        self._pipeline = pipeline
        self._runs = runs
        self._settling = settling
        self._lanes = lanes
        self._clock = clock
        self._unread = unread

    def remove(self, ref: str, *, source: Door = "api", actor: str) -> TakenOut:
        """Unregister it. Its revisions and reports are kept; its drop is left alone until its content changes.

        Raises Failure NOT_FOUND.
        """
        return self._in_lane(ref, lambda: self._remove(ref, source, actor))

    def disable(self, ref: str, *, actor: str) -> TakenOut:
        """Take it out of use until `enable`; changes of its drop are not tested meanwhile.

        Raises Failure: NOT_FOUND, CONFLICT when it is disabled already.
        """
        return self._in_lane(ref, lambda: self._disable(ref, actor))

    def enable(self, ref: str, *, source: Door = "api", actor: str) -> PutBack:
        """Put back what was in use before `disable`, if it has what it needs, and look at its drop.

        Raises Failure: NOT_FOUND, CONFLICT when it is not disabled.
        """
        self._known(ref)
        return self._lanes.call(lane(ref), lambda: self._enable(ref, source, actor))

    def look_again(self, drop: Drop, *, source: Door, actor: str) -> None:
        """Read it as if it were new: somebody asked for it, or what was in its way is gone."""
        with self._registry.write() as tx:
            tx.save_drop(replace(drop, fingerprint=None, digest=None, held=False, problems=()))
        self._settling.touched(drop.name, trigger=source, asked_by=actor)

    # --- in the lane -------------------------------------------------------------------------------------------------

    def _in_lane(self, ref: str, work: Callable[[], TakenOut]) -> TakenOut:
        self._known(ref)
        with self._registry.write() as tx:
            self._lanes.go_on()
            supersede_candidate(tx, ref)  # first, or what waits in the lane would test it once more
        self._runs.cancel(ref, why="the pack was taken out of use")
        taken_out = self._lanes.call(lane(ref), work)
        self._pipeline.start(ref)  # for what was on its way
        self._pipeline.release()
        return taken_out

    def _remove(self, ref: str, source: Door, actor: str) -> TakenOut:
        with self._registry.write() as tx:
            pack = self._present(tx, ref)
            out = _about(tx.connection, pack)
            waiting = [drop for drop in queries.drops_claiming(tx.connection, ref) if drop.name != pack.drop_name]
            for drop in queries.drops_claiming(tx.connection, ref):
                if drop.name == pack.drop_name or not drop.problems:
                    tx.save_drop(replace(drop, held=True))
            unregister(tx, pack, reason="operator", actor=actor, correlation_id=self._clock.new_id("chg"))
        for drop in waiting:
            if drop.problems:  # it was refused because this pack had its name
                self.look_again(drop, source=source, actor=actor)
        return out

    def _disable(self, ref: str, actor: str) -> TakenOut:
        with self._registry.write() as tx:
            pack = self._present(tx, ref)
            if pack.disabled_at is not None:
                raise Failure(Code.CONFLICT, f"'{ref}' is disabled already, since {in_a_sentence(pack.disabled_at)}")
            out = _about(tx.connection, pack)
            supersede_candidate(tx, ref)
            tx.disable(ref)
            if out.last is not None:
                tx.move(out.last, Trigger.SUPERSEDED)
                gone = PackUnregistered(
                    pack=tell.about(out.last), reason="operator", last=tell.label(out.last), actor=actor
                )
                tx.emit(gone, correlation_id=self._new_change())
        return out

    def _enable(self, ref: str, source: Door, actor: str) -> PutBack:
        with self._registry.write() as tx:
            pack = self._present(tx, ref)
            if pack.disabled_at is None:
                raise Failure(Code.CONFLICT, f"'{ref}' is not disabled")
            tx.enable(ref)
            put_back = replace(self._put_back(tx, ref, actor), drop=pack.drop_name)
            drop = queries.drop(tx.connection, pack.drop_name) if pack.drop_name else None
        self._pipeline.release()
        if drop is not None:
            self.look_again(drop, source=source, actor=actor)
        return put_back

    def _put_back(self, tx: Writer, ref: str, actor: str) -> PutBack:
        """What it needs may have gone, or moved on, since it was disabled."""
        target = queries.rollback_target(tx.connection, ref)
        if target is None:
            return PutBack()
        lacking = broken_by(tx.connection, target)
        if lacking:
            return PutBack(lacking=lacking)
        active = tx.activate(target, None, reason="registered", actor=actor)
        tx.emit(_registered(tx, active, actor), correlation_id=self._new_change())
        return PutBack(active=active)

    def _new_change(self) -> str:
        return self._clock.new_id("chg")

    def _known(self, ref: str) -> None:
        with self._registry.read() as connection:
            pack = queries.pack(connection, ref)
        if pack is None or not pack.is_present:
            raise self._unread.no_such(ref)

    def _present(self, tx: Writer, ref: str) -> Pack:
        """Once more, now that it is its turn. Raises Failure NOT_FOUND."""
        pack = queries.pack(tx.connection, ref)
        if pack is None or not pack.is_present:
            raise Failure(Code.NOT_FOUND, f"no pack is called '{ref}' any more; `packd list` shows what there is")
        return pack


def _about(connection: Connection, pack: Pack) -> TakenOut:
    needy = queries.active_with_needs(connection)
    return TakenOut(
        last=queries.active_revision(connection, pack.ref),
        drop=pack.drop_name,
        needed_by=tuple(sorted(one.ref for one in needy if any(need["ref"] == pack.ref for need in one.needs))),
    )


def _registered(tx: Writer, active: Revision, actor: str) -> PackRegistered:
    counts = queries.component_counts(tx.connection, active.ref, active.number)
    return PackRegistered(
        pack=tell.about(active),
        duration_ms=0.0,
        components={plural(kind): number for kind, number in counts.items()},
        tests_skipped=active.tests_skipped,
        forced=active.forced,
        actor=actor,
    )
