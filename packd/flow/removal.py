"""A drop that is gone, or holds another pack now: what it was gets a time of grace, then it is unregistered.

Before that it is offered to the other drops that say that they are it. Until they were read it is *left behind*: in
use, without a drop.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

import structlog

from packd.domain.event_data import PackRegistered, PackUpdated
from packd.flow.outcomes import unregister
from packd.flow.owners import REF_TAKEN
from packd.registry import queries

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from packd.flow.clock import Clock
    from packd.flow.packs_folder import PacksFolder
    from packd.flow.pipeline import Pipeline
    from packd.flow.projections import Projections
    from packd.flow.runs import Runs
    from packd.flow.settling import Settling
    from packd.flow.workers import Lanes
    from packd.registry.registry import Registry, Writer
    from packd.registry.rows import Drop, Pack, StoredEvent

ROOT_IDENTITY: Final = "root_identity"  # the fact that says which folder the packs directory is

_PUT_IN_USE: Final = frozenset({PackRegistered.type, PackUpdated.type})

log = structlog.get_logger(__name__)


class Removal:
    """Notices, waits, unregisters. Both steps run in the lane of the drop."""

    def __init__(
        self,
        *,
        folder: PacksFolder,
        registry: Registry,
        settling: Settling,
        pipeline: Pipeline,
        projections: Projections,
        runs: Runs,
        lanes: Lanes,
        clock: Clock,
    ) -> None:
        self._folder = folder
        self._registry = registry
        self._settling = settling
        self._pipeline = pipeline
        self._projections = projections
        self._runs = runs
        self._lanes = lanes
        self._clock = clock
        self._lock = threading.Lock()
        self._to_be_read: set[str] = set()  # drops that have settled, until what lies there is written down
        self._awaited: dict[str, set[str]] = {}  # drop → those in which what it was may still turn up

    def is_to_be_read(self, name: str) -> None:
        """It may be what another drop was."""
        with self._lock:
            self._to_be_read.add(name)

    def was_read(self, name: str) -> None:
        """What did not turn up in it, nor in any other that was awaited, gets one more time of grace, its last."""
        with self._lock:
            self._to_be_read.discard(name)
            last = [gone for gone, awaited in self._awaited.items() if awaited == {name}]
            for awaited in self._awaited.values():
                awaited.discard(name)
        for gone in last:
            self._settling.is_vacated(gone)

    def notice(self, drop: Drop) -> None:
        """Start the time of grace, if it is gone: `rm -rf` before `cp -r` must not unregister a pack."""
        if not self._is_gone(drop.name):
            return
        if drop.gone_at_s is None:
            self._save(replace(drop, gone_at_s=self._clock.now()))
        self._settling.is_gone(drop.name)

    def carry_out(self, name: str) -> None:
        """The drop stayed away for its time of grace, or what it was had the time to be found elsewhere: unregister that,
        unless the drop is back, another one may be it, or that can't be said."""
        if self._may_turn_up(name):
            return
        with self._registry.read() as connection:
            known = queries.drop(connection, name)
        if self._is_gone(name):
            self._forget(name)
        elif known is not None and known.gone_at_s is not None:
            self._settling.touched(name)
        self._give_up_left_behind(name)

    def _may_turn_up(self, name: str) -> bool:
        """Is any drop still being read that was when its time was over? A large one can take longer than that. What is
        read later is not waited for, else there would be no end to it."""
        with self._lock:
            awaited = self._awaited.pop(name, self._to_be_read) - {name}
            if awaited:
                self._awaited[name] = awaited
            return bool(awaited)

    # --- a drop that is gone -----------------------------------------------------------------------------------------

    def _forget(self, name: str) -> None:
        self._projections.withdraw(name)  # while the drop is known, so that it is done again should this be interrupted
        with self._registry.write() as tx:
            self._lanes.go_on()
            pack = queries.pack_of_drop(tx.connection, name)
            claimed = pack is not None and self.offer(tx, pack.ref, besides=name)
            tx.forget_drop(name)
            if pack is not None and claimed:
                tx.release(pack.ref)
            elif pack is not None:
                unregister(tx, pack, reason="removed", correlation_id=self._clock.new_id("chg"))
        log.info("drop.removed", drop=name, pack=pack.ref if pack else None)
        if pack is not None and claimed:
            self.look_round(name, pack.ref)
        elif pack is not None:
            self._runs.cancel(pack.ref)
            self._pipeline.start(pack.ref)  # for what was on its way
            self._pipeline.release()

    # --- a pack without a drop ---------------------------------------------------------------------------------------

    def offer(self, tx: Writer, ref: str, *, besides: str) -> bool:
        """The pack lost its drop, or got another: all other drops that are there and say that they are it are to be read
        once more. `look_round` behind the transaction has that done soon. False: there are none."""
        others = [drop for drop in queries.drops_claiming(tx.reader, ref) if self._may_be_it(drop, besides)]
        for drop in others:
            tx.save_drop(replace(drop, fingerprint=None, problems=()))
        return bool(others)

    def offer_former(self, tx: Writer, seen: Drop) -> None:
        """The same for the pack that this drop was until now, if it is another one by what lies there."""
        former = queries.pack_of_drop(tx.reader, seen.name)
        if former is not None and former.ref != seen.ref:
            self.offer(tx, former.ref, besides=seen.name)

    def look_round(self, name: str, ref: str) -> None:
        """Behind the reading of a drop: others are read that may be what it is, or what it was; that has the time of
        grace to be found."""
        with self._registry.read() as connection:
            own, left = queries.pack_of_drop(connection, name), self._left_behind(connection, name)
            refs = {ref, *(pack.ref for pack in (own, *left) if pack is not None)}
            unread = [drop for one in sorted(refs) for drop in self._unread(connection, one, name)]
        for drop in unread:
            self._settling.touched(drop.name)
        if left:
            self._settling.is_vacated(name)

    def committed(self, events: tuple[StoredEvent, ...]) -> None:
        """Called behind every transaction that emitted events: what came into use takes the place of what lay there."""
        refs = {event.subject.removeprefix("packs/") for event in events if event.type in _PUT_IN_USE}
        for ref in sorted(refs):
            with self._registry.read() as connection:
                pack = queries.pack(connection, ref)
                left = queries.packs_left_behind(connection, ref, pack.path) if pack is not None else []
            self._await(left)

    def resume(self) -> None:
        """For all that was left behind, as nothing else may come to tell of it: a crash can have ended its time."""
        with self._registry.read() as connection:
            left = queries.all_left_behind(connection)
        self._await(left)

    def _await(self, left: list[Pack]) -> None:
        for pack in left:
            place = PurePath(pack.path)
            if place.parent == self._folder.path:
                self._settling.is_vacated(place.name)

    def _give_up_left_behind(self, name: str) -> None:
        """What lay there stays in use until what lies there is, or nothing does; and while another drop may be it."""
        with self._registry.read() as connection:
            is_left = bool(self._left_behind(connection, name))
            is_known_folder = self._folder.identity() == queries.fact(connection, ROOT_IDENTITY)
        if not is_left or not is_known_folder:
            return
        is_gone = self._is_gone(name)
        offered, given_up = [], []
        with self._registry.write() as tx:
            self._lanes.go_on()
            now_there = queries.pack_of_drop(tx.reader, name)
            if not is_gone and (now_there is None or tx.active(now_there.ref) is None):
                return
            for pack in self._left_behind(tx.reader, name):
                if self.offer(tx, pack.ref, besides=name):
                    offered.append(pack.ref)
                else:
                    unregister(tx, pack, reason="removed", correlation_id=self._clock.new_id("chg"))
                    given_up.append(pack.ref)
        for ref in offered:
            self.look_round(name, ref)
        for ref in given_up:
            log.info("pack.given_up", pack=ref, drop=name)
            self._runs.cancel(ref)
            self._pipeline.start(ref)
        if given_up:
            self._pipeline.release()

    def _left_behind(self, connection: Connection, name: str) -> list[Pack]:
        """The packs that lay in this place, and have not been found elsewhere."""
        now_there = queries.pack_of_drop(connection, name)
        path = str(self._folder.path / name)
        return queries.packs_left_behind(connection, now_there.ref if now_there else "", path)

    def _unread(self, connection: Connection, ref: str, besides: str) -> list[Drop]:
        """The drops that the pack was offered to, and that have not answered."""
        unread = [
            drop for drop in queries.drops_claiming(connection, ref) if not drop.problems and drop.fingerprint is None
        ]
        return [drop for drop in unread if self._may_be_it(drop, besides)]

    def _may_be_it(self, drop: Drop, besides: str) -> bool:
        """It is there, and nothing is wrong with it but that another one has its ref."""
        if drop.name == besides or drop.held or any(problem["code"] != REF_TAKEN for problem in drop.problems):
            return False
        return self._folder.has(drop.name)

    def _is_gone(self, name: str) -> bool:
        """From the folder that reconciling knows as the packs directory: while another lies there, nothing is gone."""
        with self._registry.read() as connection:
            identity = queries.fact(connection, ROOT_IDENTITY)
        return self._folder.lacks(name, identity)

    def _save(self, drop: Drop) -> None:
        with self._registry.write() as tx:
            tx.save_drop(drop)
