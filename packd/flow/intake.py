"""From drop to revision: what lies in the packs directory is read, fixed as a snapshot and written down.

Everything here is level-triggered: `take` may be called for a drop at any time and for any reason; it looks at what
is there, compares it with what was last seen, and does what follows from the difference.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog

from packd.domain.event_data import PackRolledBack, PackValidationFailed
from packd.domain.lifecycle import REFUSED
from packd.domain.problems import errors
from packd.domain.refs import ref_from_name
from packd.flow import owners, tell
from packd.flow.drop_reader import NO_ROOM, DropReader
from packd.flow.novelty import is_left_alone, is_nothing_new
from packd.flow.outcomes import supersede_candidate
from packd.flow.owners import Holders
from packd.flow.recording import Arrival, drafted, record
from packd.registry import queries
from packd.registry.rows import Drop
from packd.snapshot.store import Refused, Snapshot, Unsettled
from packd.snapshot.taken import UNSETTLED

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from packd.domain.problems import Problem
    from packd.flow.clock import Clock
    from packd.flow.left_alone import LeftAlone
    from packd.flow.occasion import Occasion
    from packd.flow.owners import Holder
    from packd.flow.packs_folder import PacksFolder
    from packd.flow.pipeline import Begun, Pipeline
    from packd.flow.projections import Projections
    from packd.flow.removal import Removal
    from packd.flow.restore import Restorer
    from packd.flow.runs import Ahead, Runs
    from packd.flow.settling import Settling
    from packd.flow.space import Space
    from packd.flow.stopwatch import Stopwatch
    from packd.flow.workers import Lanes
    from packd.registry.registry import Registry, Writer
    from packd.registry.rows import Pack, Revision
    from packd.snapshot.store import Store
    from packd.validate.findings import Findings

Listed = tuple[dict[str, Any], ...]  # problems as a drop keeps them

log = structlog.get_logger(__name__)


class Intake:
    """Turns drops into revisions and hands them to the pipeline."""

    def __init__(
        self,
        *,
        folder: PacksFolder,
        registry: Registry,
        store: Store,
        pipeline: Pipeline,
        runs: Runs,
        settling: Settling,
        removal: Removal,
        projections: Projections,
        restorer: Restorer,
        lanes: Lanes,
        clock: Clock,
        stopwatch: Stopwatch,
        at_once: int,
        space: Space,
        left_alone: LeftAlone,
    ) -> None:
        """`at_once` drops are read at the same time: more would only get in each other's way on the processors."""
        self._few_at_once = threading.BoundedSemaphore(at_once)
        self._folder = folder
        self._registry = registry
        self._reader = DropReader(folder=folder, store=store, clock=clock)
        self._holders = Holders(folder=folder, registry=registry, reader=self._reader, pipeline=pipeline)
        self._pipeline = pipeline
        self._runs = runs
        self._settling = settling
        self._removal = removal
        self._projections = projections
        self._restorer = restorer
        self._lanes = lanes
        self._clock = clock
        self._stopwatch = stopwatch
        self._space = space
        self.left_alone = left_alone  # what is no drop, though it looks like a pack

    def take_soon(self, name: str, occasion: Occasion) -> None:
        """`take`, in the lane of the drop."""
        self._removal.is_to_be_read(name)
        self._lanes.submit(lane(name), self.take, name, occasion)

    def remove_soon(self, name: str) -> None:
        """Unregister what a drop was, in its lane, unless it is back."""
        self._lanes.submit(lane(name), self._removal.carry_out, name)

    def take(self, name: str, occasion: Occasion) -> None:
        """Look at the drop `name` and do what follows: nothing, a new revision, a refusal, or noticing that it is gone."""
        try:
            with self._few_at_once:
                self._take(name, occasion)
        finally:
            self._removal.was_read(name)

    def _take(self, name: str, occasion: Occasion) -> None:
        try:
            kind = self._folder.kind_of(name)
        except OSError as failure:
            log.warning("drop.put_off", drop=name, why=f"it can't be looked at: {failure}")
            return
        with self._registry.read() as connection:
            known = queries.drop(connection, name)
            is_without = known is not None and owners.is_without(connection, known)
        if kind is None:
            self.left_alone.look_at(name)
            if known is not None:
                self._removal.notice(known)
            return
        self._settling.is_back(name)
        if known is not None and not is_without and self._reader.is_unchanged(kind, known):
            self._leave(known)
            return
        if not self._space.enough():
            log.warning("drop.put_off", drop=name, why="there is no room for it; it is looked at again when there is")
            return
        began = self._clock.monotonic()
        taken = self._reader.read(name)
        took_ms = (self._clock.monotonic() - began) * 1000
        match taken:
            case Unsettled(problem=problem) if not occasion.forced:
                log.debug("drop.unsettled", drop=name, why=problem.message)
                self._settling.again(name, occasion)
            case Unsettled(problem=problem, fingerprint=fingerprint):
                self._refuse(replace(_seen(name, kind, known), fingerprint=fingerprint), (problem,))
            case Refused(problems=problems, fingerprint=fingerprint):
                self._refuse(replace(_seen(name, kind, known), fingerprint=fingerprint), problems)
            case Snapshot():
                self._record(_seen(name, kind, known), taken, occasion, snapshot_ms=took_ms)

    def _leave(self, known: Drop) -> None:
        """It is as it was when it was last read; if it was gone meanwhile, its markers may be gone still."""
        if known.gone_at_s is not None:
            with self._registry.write() as tx:
                tx.save_drop(replace(known, gone_at_s=None))
            self._projections.show(str(known.ref))
        self._restorer.restore_soon(known.ref)

    # --- a drop that could be read -----------------------------------------------------------------------------------

    def _record(self, seen: Drop, snapshot: Snapshot, occasion: Occasion, *, snapshot_ms: float) -> None:
        began = self._clock.monotonic()
        findings = self._pipeline.examine(snapshot.digest, seen.name)
        validate_ms = (self._clock.monotonic() - began) * 1000
        ref = findings.ref or str(seen.ref)
        seen = replace(seen, ref=ref, fingerprint=snapshot.fingerprint, digest=snapshot.digest, problems=())
        holder = self._holders.of(ref, seen.name)
        if holder.is_unsettled and not occasion.forced:
            log.debug(
                "drop.unsettled", drop=seen.name, why=f"'{ref}' was in '{holder.drop}', which is being written to"
            )
            self._settling.again(seen.name, occasion)
            return
        with self._runs.ahead() as ahead, self._registry.write() as tx:
            self._lanes.go_on()  # asked in here, nothing of this is told behind `daemon.stopping`
            recorded = self._record_in(tx, ahead, seen, snapshot, findings, occasion, holder)
        if recorded is None:
            self._removal.look_round(seen.name, ref)
            self._projections.show(ref)  # nothing was told, and yet a marker may be out of date
            self._restorer.restore_soon(ref)  # it was put off while somebody wrote to the folder
            return
        revision, begun = recorded
        for stage, ms in (("settle", occasion.settle_ms), ("snapshot", snapshot_ms), ("validate", validate_ms)):
            self._stopwatch.add(revision.ref, revision.number, stage, ms)
        if revision.phase in REFUSED:
            self._pipeline.say_carried(revision)
        self._runs.cancel(ref, older_than=revision.number)
        self._pipeline.start(ref, begun)
        self._removal.look_round(seen.name, ref)

    def _record_in(
        self,
        tx: Writer,
        ahead: Ahead,
        seen: Drop,
        snapshot: Snapshot,
        findings: Findings,
        occasion: Occasion,
        holder: Holder,
    ) -> tuple[Revision, Begun | None] | None:
        """The new revision, and its run where that could begin; None: there is none."""
        ref = str(seen.ref)
        pack, known = tx.pack(ref), queries.drop(tx.reader, seen.name)
        if owners.owner_besides(pack, seen.name) not in (None, holder.drop):
            self._settling.again(seen.name, occasion)  # it changed hands since that was looked at
            return None
        if is_left_alone(known, seen):
            tx.save_drop(replace(seen, held=True))
            return None
        rival = owners.rival(tx, pack, seen.name, self._folder, holder)
        if pack is not None and pack.is_present and pack.disabled_at is not None:
            self._leave_disabled(tx, pack, known, seen, is_its_drop=rival is None)
            return None
        if rival is not None:
            why = (rival,) if findings.ref else errors(self._pipeline.objections(findings))
            self._refuse_in(tx, seen, why)
            self._removal.offer_former(tx, seen)
            return None
        latest = tx.latest(ref)
        if is_nothing_new(pack, latest, known, seen):
            self._own(tx, pack, seen)
            return None
        path, correlation_id = str(self._folder.path / seen.name), self._clock.new_id("chg")
        arrival = _arrival(path, occasion)
        draft = drafted(tx, ref, snapshot, arrival, version=findings.version, correlation_id=correlation_id)
        judgement = self._pipeline.judge(tx, draft, findings)
        ahead.running = self._pipeline.run_ahead(tx, draft, judgement)
        self._own(tx, pack, seen)
        revision = record(tx, draft, arrival, is_new=pack is None or not pack.is_present)
        revision = self._pipeline.conclude(tx, revision, judgement)
        return revision, self._pipeline.begin(tx, revision, ahead.running) if ahead.running is not None else None

    def _own(self, tx: Writer, pack: Pack | None, seen: Drop) -> None:
        """The pack is this drop's from now on. What else the drop was, and who else says that he is the pack, is asked
        once more."""
        ref, path = str(seen.ref), str(self._folder.path / seen.name)
        if pack is not None and pack.drop_name == seen.name:
            tx.save_drop(seen)
            tx.claim_pack(ref, drop_name=seen.name, path=path)
            return
        self._removal.offer_former(tx, seen)
        tx.save_drop(seen)
        tx.claim_pack(ref, drop_name=seen.name, path=path)
        if pack is not None and pack.is_present:
            self._removal.offer(tx, ref, besides=seen.name)
            log.info("drop.renamed", pack=ref, drop=seen.name, before=pack.drop_name)

    def _leave_disabled(self, tx: Writer, pack: Pack, known: Drop | None, seen: Drop, *, is_its_drop: bool) -> None:
        """An operator disabled the pack: nothing is made of its drop, which may be another one by now."""
        if is_its_drop:
            self._own(tx, pack, seen)
        tx.save_drop(replace(seen, held=known is not None and known.held))

    # --- a drop that could not ---------------------------------------------------------------------------------------

    def _refuse(self, seen: Drop, problems: Sequence[Problem]) -> None:
        with self._registry.write() as tx:
            self._lanes.go_on()
            self._refuse_in(tx, seen, problems)
        if seen.ref is not None:
            self._projections.show(seen.ref)  # it may be what was told before, and its marker gone
            self._runs.cancel(seen.ref)

    def _refuse_in(self, tx: Writer, seen: Drop, problems: Sequence[Problem]) -> None:
        """No revision is made of it; what was in use stays. Told once, not at every look."""
        listed = tuple(problem.to_dict() for problem in problems)
        known = queries.drop(tx.connection, seen.name)
        tx.save_drop(replace(seen, problems=listed))
        if known is not None and _is_told(known.problems, listed):
            return
        owned = queries.pack_of_drop(tx.connection, seen.name)
        if owned is not None:
            supersede_candidate(tx, owned.ref)
        ref = owned.ref if owned else str(seen.ref)
        active = queries.active_revision(tx.connection, ref)  # perhaps from another drop, and in use all the same
        about = tell.about_unread(ref, str(self._folder.path / seen.name), active)
        change = self._clock.new_id("chg")
        failed = tx.emit(PackValidationFailed(pack=about, problems=tell.problems(problems)), correlation_id=change)
        tx.emit(
            PackRolledBack(
                pack=about, reason="validation_failed", failed=tell.NOTHING, restored=tell.label_or_null(active)
            ),
            correlation_id=change,
            causation_id=failed.id,
        )


def lane(name: str) -> str:
    """The lane in which everything about this drop happens, one thing after another."""
    return f"drop:{name}"


def _seen(name: str, kind: str, known: Drop | None) -> Drop:
    """The drop as far as it is known before its content is read; until it says its ref, it goes by its name."""
    return Drop(name=name, kind=kind, ref=(known.ref if known else None) or ref_from_name(name))


def _is_told(before: Listed, now: Listed) -> bool:
    """Is it the same refusal? What is written to all the time is refused once, whichever of its files is caught changing;
    and so is what a disk has no room for, however much it has at each look."""
    return before == now or any(_is_all(before, codes) and _is_all(now, codes) for codes in (UNSETTLED, NO_ROOM))


def _is_all(problems: Listed, codes: Collection[str]) -> bool:
    return bool(problems) and all(problem["code"] in codes for problem in problems)


def _arrival(path: str, occasion: Occasion) -> Arrival:
    return Arrival(
        path=path,
        trigger=occasion.trigger,
        source=occasion.source,
        actor=occasion.actor,
        first_change_at_s=occasion.first_change_at_s,
    )
