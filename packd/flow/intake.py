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
from packd.domain.lifecycle import REFUSED, Phase
from packd.domain.problems import Problem, errors
from packd.domain.refs import ref_from_name
from packd.flow import owners, tell
from packd.flow.outcomes import supersede_candidate, unregister_left_behind
from packd.flow.recording import Arrival, drafted, record
from packd.registry import queries
from packd.registry.rows import Drop
from packd.snapshot.store import Refused, Snapshot, StoreFull, StoreUnwritable, Unsettled
from packd.snapshot.taken import UNSETTLED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packd.flow.clock import Clock
    from packd.flow.left_alone import LeftAlone
    from packd.flow.occasion import Occasion
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
        self._store = store
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
        self._lanes.submit(lane(name), self.take, name, occasion)

    def remove_soon(self, name: str) -> None:
        """Unregister what a drop was, in its lane, unless it is back."""
        self._lanes.submit(lane(name), self._removal.carry_out, name)

    def take(self, name: str, occasion: Occasion) -> None:
        """Look at the drop `name` and do what follows: nothing, a new revision, a refusal, or noticing that it is gone."""
        with self._few_at_once:
            self._take(name, occasion)

    def _take(self, name: str, occasion: Occasion) -> None:
        try:
            kind = self._folder.kind_of(name)
        except OSError as failure:
            log.warning("drop.put_off", drop=name, why=f"it can't be looked at: {failure}")
            return
        with self._registry.read() as connection:
            known = queries.drop(connection, name)
        if kind is None:
            self.left_alone.look_at(name)
            if known is not None:
                self._removal.notice(known)
            return
        self._settling.is_back(name)
        if known is not None and self._unchanged(kind, known):
            self._save(replace(known, gone_at_s=None), if_other_than=known)
            self._restorer.restore_soon(known.ref)
            return
        if not self._space.enough():
            log.warning("drop.put_off", drop=name, why="there is no room for it; it is looked at again when there is")
            return
        began = self._clock.monotonic()
        taken = self._read(name)
        took_ms = (self._clock.monotonic() - began) * 1000
        match taken:
            case Unsettled(problem=problem) if not occasion.forced:
                log.debug("drop.unsettled", drop=name, why=problem.message)
                self._settling.again(name, occasion)
            case Unsettled(problem=problem):
                self._refuse(_seen(name, kind, known), (problem,), occasion)
            case Refused(problems=problems, fingerprint=fingerprint):
                self._refuse(replace(_seen(name, kind, known), fingerprint=fingerprint), problems, occasion)
            case Snapshot():
                self._record(_seen(name, kind, known), taken, occasion, snapshot_ms=took_ms)

    # --- reading -----------------------------------------------------------------------------------------------------

    def _unchanged(self, kind: str, known: Drop) -> bool:
        """A stat for every file, not a read; what was too fresh to be trusted when it was read is read again."""
        if known.fingerprint is None or known.kind != kind:
            return False
        return self._folder.look(known.name).fingerprint(self._now_ns()) == known.fingerprint

    def _read(self, name: str) -> Snapshot | Unsettled | Refused:
        try:
            return self._store.take(self._folder.path / name, self._folder.ignore)
        except (StoreFull, StoreUnwritable) as failure:
            log.error("store.failed", drop=name, error=str(failure))
            code = "store.full" if isinstance(failure, StoreFull) else "store.unwritable"
            problem = Problem(code=code, message=f"{failure}; it is read again at the next scan")
            return Refused(problems=(problem,), fingerprint=None)

    def _now_ns(self) -> int:
        return int(self._clock.now() * 1e9)

    # --- a drop that could be read -----------------------------------------------------------------------------------

    def _record(self, seen: Drop, snapshot: Snapshot, occasion: Occasion, *, snapshot_ms: float) -> None:
        began = self._clock.monotonic()
        findings = self._pipeline.examine(snapshot.digest, seen.name)
        validate_ms = (self._clock.monotonic() - began) * 1000
        ref = findings.ref or str(seen.ref)
        seen = replace(seen, ref=ref, fingerprint=snapshot.fingerprint, digest=snapshot.digest, problems=())
        with self._runs.ahead() as ahead, self._registry.write() as tx:
            self._lanes.go_on()  # asked in here, nothing of this is told behind `daemon.stopping`
            recorded = self._record_in(tx, ahead, seen, snapshot, findings, occasion)
        if recorded is None:
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

    def _record_in(
        self, tx: Writer, ahead: Ahead, seen: Drop, snapshot: Snapshot, findings: Findings, occasion: Occasion
    ) -> tuple[Revision, Begun | None] | None:
        """The new revision, and its run where that could begin; None: there is none."""
        ref = str(seen.ref)
        pack, known = tx.pack(ref), queries.drop(tx.reader, seen.name)
        if _is_left_alone(pack, known, seen):
            tx.save_drop(replace(seen, held=known is not None and known.held))
            return None
        rival = owners.rival(tx, pack, seen.name, self._folder)
        if rival is not None:
            why = (rival,) if findings.ref else errors(self._pipeline.objections(findings))
            self._refuse_in(tx, seen, why, occasion)
            return None
        latest = tx.latest(ref)
        if _nothing_new(pack, latest, known, seen):
            self._keep(tx, pack, seen)
            return None
        path, correlation_id = str(self._folder.path / seen.name), self._clock.new_id("chg")
        arrival = _arrival(path, occasion)
        draft = drafted(tx, ref, snapshot, arrival, version=findings.version, correlation_id=correlation_id)
        judgement = self._pipeline.judge(tx, draft, findings)
        ahead.running = self._pipeline.run_ahead(tx, draft, judgement)
        tx.save_drop(seen)
        tx.claim_pack(ref, drop_name=seen.name, path=path)
        revision = record(tx, draft, arrival, is_new=pack is None or not pack.is_present)
        revision = self._pipeline.conclude(tx, revision, judgement)
        return revision, self._pipeline.begin(tx, revision, ahead.running) if ahead.running is not None else None

    def _keep(self, tx: Writer, pack: Pack | None, seen: Drop) -> None:
        tx.save_drop(seen)
        if pack is not None and pack.drop_name != seen.name:
            path = str(self._folder.path / seen.name)
            tx.claim_pack(pack.ref, drop_name=seen.name, path=path)
            unregister_left_behind(tx, pack.ref, path, correlation_id=self._clock.new_id("chg"))
            log.info("drop.renamed", pack=pack.ref, drop=seen.name, before=pack.drop_name)

    # --- a drop that could not ---------------------------------------------------------------------------------------

    def _refuse(self, seen: Drop, problems: Sequence[Problem], occasion: Occasion) -> None:
        with self._registry.write() as tx:
            self._lanes.go_on()
            self._refuse_in(tx, seen, problems, occasion)
        if seen.ref is not None:
            self._runs.cancel(seen.ref)

    def _refuse_in(self, tx: Writer, seen: Drop, problems: Sequence[Problem], occasion: Occasion) -> None:
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

    def _save(self, drop: Drop, *, if_other_than: Drop) -> None:
        if drop != if_other_than:
            with self._registry.write() as tx:
                tx.save_drop(drop)


def lane(name: str) -> str:
    """The lane in which everything about this drop happens, one thing after another."""
    return f"drop:{name}"


def _seen(name: str, kind: str, known: Drop | None) -> Drop:
    """The drop as far as it is known before its content is read; until it says its ref, it goes by its name."""
    return Drop(name=name, kind=kind, ref=(known.ref if known else None) or ref_from_name(name))


def _is_told(before: Listed, now: Listed) -> bool:
    """Is it the same refusal? What is written to all the time is refused once, whichever of its files is caught changing."""
    return before == now or (_is_unsettled(before) and _is_unsettled(now))


def _is_unsettled(problems: Listed) -> bool:
    return bool(problems) and all(problem["code"] in UNSETTLED for problem in problems)


def _arrival(path: str, occasion: Occasion) -> Arrival:
    return Arrival(
        path=path,
        trigger=occasion.trigger,
        source=occasion.source,
        actor=occasion.source,
        first_change_at_s=occasion.first_change_at_s,
    )


def _is_left_alone(pack: Pack | None, known: Drop | None, seen: Drop) -> bool:
    """An operator disabled the pack, or removed it and this is the content that was meant."""
    if pack is not None and pack.is_present and pack.disabled_at is not None:
        return True
    # Without a digest it was about to be read again when it was removed: what is found now is what was meant.
    return known is not None and known.held and known.digest in (None, seen.digest)


def _nothing_new(pack: Pack | None, latest: Revision | None, known: Drop | None, seen: Drop) -> bool:
    """Content equal to the latest revision is a no-op, and so is content that packd itself put there."""
    if pack is None or not pack.is_present or latest is None:
        return False
    if latest.digest == seen.digest:
        return not _was_passed_over(latest, known)
    return known is not None and not known.problems and known.digest == seen.digest


def _was_passed_over(latest: Revision, known: Drop | None) -> bool:
    """It was on its way when the pack was taken out of use or rolled back, and is to be read as if it were new now."""
    return latest.phase == Phase.SUPERSEDED and known is not None and known.digest is None
