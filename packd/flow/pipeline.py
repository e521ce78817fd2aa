"""From snapshot to active: the stages of a revision, in order.

    snapshotted ─ validate ─▶ validated ─ test ─▶ tested ─ activate ─▶ active

`carry` looks up where the candidate of a pack stands and takes it as far as it goes. Each stage ends in one
transaction that writes the new phase together with the events that tell of it, so that a crash at any moment leaves
a phase from which `carry` goes on.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

import structlog
from semantic_version import Version

from packd.domain.lifecycle import Phase, Trigger
from packd.domain.problems import Problem, errors
from packd.flow import outcomes, standing
from packd.flow.forbidden import Forbidden
from packd.flow.judgement import Judgement
from packd.flow.requirements import untested
from packd.registry import queries
from packd.validate.load import check

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from packd.domain.manifest import Manifest, Testing
    from packd.domain.reports import Report
    from packd.flow.clock import Clock
    from packd.flow.policy import Policy
    from packd.flow.runs import Plan, Running, Runs
    from packd.flow.stopwatch import Stopwatch
    from packd.flow.workers import Lanes
    from packd.registry.registry import Registry, Writer
    from packd.registry.rows import Revision, Run, StoredEvent
    from packd.snapshot.store import Store
    from packd.validate.findings import Findings

log = structlog.get_logger(__name__)

_WENT_BACKWARDS: Final = "manifest.version_went_backwards"
_FINDINGS_KEPT: Final = 256  # enough for what is on its way at any moment; a few kilobytes each


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A run that is written down and told, and being carried out."""

    revision: Revision
    run: Run
    running: Running


class Pipeline:
    """Carries candidates to their end. One step at a time per pack, packs side by side."""

    def __init__(
        self,
        *,
        registry: Registry,
        store: Store,
        runs: Runs,
        lanes: Lanes,
        policy: Policy,
        clock: Clock,
        stopwatch: Stopwatch,
    ) -> None:
        self._registry = registry
        self._store = store
        self._runs = runs
        self._lanes = lanes
        self._policy = policy
        self._clock = clock
        self._stopwatch = stopwatch
        self._forbidden = Forbidden(registry=registry, clock=clock)
        self._lock = threading.Lock()
        self._findings: OrderedDict[tuple[str, str], Findings] = OrderedDict()
        self._queue: OrderedDict[str, None] = OrderedDict()  # refs of what is to be tested when there is a place for it
        runs.on_over(self._start_next)
        self._stages: dict[Phase, Callable[[Revision], bool]] = {
            Phase.SNAPSHOTTED: self._validate,
            Phase.VALIDATED: self._test,
            Phase.TESTED: self._activate,
            Phase.WAITING: self._wait,
        }

    def follow(self, policy: Policy) -> None:
        """Decide by this from the next step on."""
        self._policy = policy

    def start(self, ref: str, begun: Begun | None = None) -> None:
        """Carry the pack's candidate, soon, in its lane; at once where it is being tested."""
        if begun is None:
            self._lanes.submit(lane(ref), self.carry, ref)
        else:
            self._lanes.submit(lane(ref), self.carry, ref, begun, ahead=True)

    def carry(self, ref: str, begun: Begun | None = None) -> None:
        """Take the candidate of `ref` through one stage after another until it is finished or has to wait."""
        first = revision = begun.revision if begun is not None else self._candidate(ref) or self._forbidden.lift(ref)
        self._say_overtaken(ref, first)
        goes_on = True
        waiting: Sequence[str] = ()
        while revision is not None and goes_on:
            before = revision
            goes_on = self._wait_for(begun) if begun is not None else self._stages[before.phase](before)
            begun = None
            revision, ended, waiting = self._look_again(before)
            if ended is not None:
                self._say_ended(ended)
        if revision != first:
            self._start_all((*waiting, *self._forbidden.refs), besides=ref)
        self._start_next()

    def run_ahead(self, tx: Writer, revision: Revision, judgement: Judgement) -> Running | None:
        """In the transaction that is to make it a candidate, where its run can start by now; None: `carry` begins it.

        What waits for others must not be told to have begun. The suites run while everything is written down; see
        `Runs.ahead`, which ends them when the transaction comes to nothing. Raises Failure(UNAVAILABLE) when packd stops.
        """
        if not judgement.passes or not self._can_start(revision.ref):
            return None
        plan = self._plan(tx, revision, judgement.manifest)
        return None if plan is None else self._runs.submit(plan)

    def _can_start(self, ref: str) -> bool:
        return self._runs.has_room(ref) and self._lanes.is_free(lane(ref))

    def begin(self, tx: Writer, revision: Revision, running: Running) -> Begun:
        """Write down that what runs ahead has begun."""
        reason = "update" if tx.active(revision.ref) else "install"
        run, started = self._runs.begin(
            tx, revision, running.plan, reason=reason, source=revision.source, actor=revision.actor
        )
        return Begun(revision=tx.change(revision, causation_id=started), run=run, running=running)

    def say_carried(self, revision: Revision) -> None:
        """The one line that has everything about a revision that has come to its end, with the time of every stage."""
        with self._registry.read() as connection:
            ended = queries.revision(connection, revision.ref, revision.number) or revision
        self._say_ended(ended)

    def _say_overtaken(self, ref: str, candidate: Revision | None) -> None:
        """The same line of those that something newer, or an operator, took the place of while nobody was at work on them."""
        left = [number for number in self._stopwatch.not_taken(ref) if candidate is None or number != candidate.number]
        for number in left:
            with self._registry.read() as connection:
                overtaken = queries.revision(connection, ref, number)
            if overtaken is not None and overtaken.phase == Phase.SUPERSEDED:
                self._say_ended(overtaken)

    def _say_ended(self, ended: Revision) -> None:
        log.info(
            "revision.carried",
            pack=ended.ref,
            revision=ended.number,
            version=ended.version,
            phase=str(ended.phase),
            trigger=ended.trigger,
            digest=ended.digest,
            files=ended.files,
            bytes=ended.bytes,
            total_ms=round((self._clock.now() - ended.first_change_at_s) * 1000, 1),
            **self._stopwatch.take(ended.ref, ended.number),
        )

    def release(self) -> None:
        """Look again at every candidate that may be waiting for what has just changed."""
        with self._registry.read() as connection:
            waiting = queries.waiting_candidates(connection)
        self._start_all((*waiting, *self._forbidden.refs))

    def committed(self, events: Sequence[StoredEvent]) -> None:
        """What was refused in favour of others is looked at once more: they may have changed meanwhile."""
        for ref in self._forbidden.heard(events):
            self.start(ref)

    def recall(self) -> None:
        """Look again at everything that was refused in favour of others, at whatever time."""
        self._start_all(self._forbidden.recalled())

    def close_lost_runs(self) -> None:
        """Those that are over, and whose end the database could not take: soon, as it may still not."""
        self._lanes.submit("lost-runs", self._runs.close_lost)

    def _start_next(self) -> None:
        """Of those that wait to be tested, if there is a place by now."""
        with self._lock:
            if not self._queue or self._runs.is_crowded():
                return
            ref, _ = self._queue.popitem(last=False)
        self.start(ref)

    def _start_all(self, refs: Sequence[str], besides: str | None = None) -> None:
        for ref in refs:
            if ref != besides:
                self.start(ref)

    def examine(self, digest: str, name: str) -> Findings:
        """What validation says of a snapshot; `name` is the drop's. Snapshots never change, so the answer is kept."""
        key = (digest, name)
        with self._lock:
            known = self._findings.get(key)
        if known is None:
            known = check(self._store.path(digest), name=name, runtime=self._policy.runtime)
            with self._lock:
                self._findings[key] = known
                while len(self._findings) > _FINDINGS_KEPT:
                    self._findings.popitem(last=False)
        return known

    def examine_revision(self, revision: Revision) -> Findings:
        """What validation says of a revision's snapshot."""
        return self.examine(revision.digest, PurePath(revision.path).name)

    def objections(self, findings: Findings, *, tests_skipped: bool = False) -> tuple[Problem, ...]:
        """All that is wrong with a content by itself: what every pack must say, and what is asked of it here."""
        required = self._policy.tests_required and not tests_skipped
        return (*untested(findings, required=required), *findings.problems)

    def judge(self, tx: Writer, revision: Revision, findings: Findings) -> Judgement:
        """What is to become of a revision, which need not be written down yet."""
        manifest = findings.manifest
        problems = (
            *self.objections(findings, tests_skipped=revision.tests_skipped),
            *_version_problems(tx, revision, manifest),
        )
        if errors(problems) or manifest is None:
            return Judgement(findings=findings, problems=problems, outlook=None)
        outlook = standing.of(tx.reader, replace(revision, **_said_by(manifest)))
        return Judgement(findings=findings, problems=problems, outlook=outlook)

    def conclude(self, tx: Writer, revision: Revision, judgement: Judgement) -> Revision:
        """Validated, waiting or rejected: one step inside the caller's transaction."""
        listed = tuple(problem.to_dict() for problem in judgement.problems)
        manifest, outlook = judgement.manifest, judgement.outlook
        if manifest is None or outlook is None:
            known = tx.change(revision, problems=listed, version=judgement.findings.version)
            return outcomes.reject(tx, known, errors(judgement.problems))
        validated = tx.move(
            revision, Trigger.VALIDATION_PASSED, **_said_by(manifest), fields=manifest.fields, problems=listed
        )
        tx.set_components(validated, manifest.components)
        for problem in judgement.problems:
            if problem.code == _WENT_BACKWARDS:
                log.warning("version.went_backwards", pack=revision.ref, revision=revision.number, why=problem.message)
        return outcomes.settle_dependencies(tx, validated, outlook)

    # --- the stages: each returns True when the next one can follow at once ------------------------------------------

    def _validate(self, revision: Revision) -> bool:
        with self._stopwatch.measure(revision, "validate"):
            findings = self.examine_revision(revision)
        with self._registry.write() as tx:
            if _is_still(tx, revision):
                self.conclude(tx, revision, self.judge(tx, revision, findings))
        return True

    def _wait(self, revision: Revision) -> bool:
        with self._registry.write() as tx:
            if not _is_still(tx, revision):
                return True
            outlook = standing.of(tx.reader, revision)
            if outlook.missing and not outlook.forbidden_by:
                return False
            released = tx.move(revision, Trigger.RELEASED, waits_for=())
            if outlook.forbidden_by:
                outcomes.reject_breaking(tx, released, outlook)
        return True

    def _test(self, revision: Revision) -> bool:
        """In its lane nobody else waits for it: a place in the lanes is for what can go on. A run that began with the
        revision itself is taken up by whoever was sent for that."""
        if self._runs.is_under_way(revision):
            return False
        if not self._has_place(revision.ref):
            return False
        try:
            begun = self._begun(revision)
        finally:
            self._runs.give_back(revision.ref)
        return begun is None or self._wait_for(begun)

    def _has_place(self, ref: str) -> bool:
        """Without one it is carried on when there is."""
        with self._lock:
            if self._runs.keep_place(ref):
                return True
            self._queue[ref] = None
            return False

    def _begun(self, revision: Revision) -> Begun | None:
        """Its run; None when there is nothing to be run any more."""
        manifest = self.examine_revision(revision).manifest
        with self._runs.ahead() as ahead, self._registry.write() as tx:
            if not _is_still(tx, revision):
                return None
            plan = self._plan(tx, revision, manifest)
            if plan is None:
                tx.move(revision, Trigger.TESTS_PASSED, tests_skipped=True)
                return None
            ahead.running = self._runs.submit(plan)
            return self.begin(tx, revision, ahead.running)

    def _activate(self, revision: Revision) -> bool:
        with self._stopwatch.measure(revision, "activate"), self._registry.write() as tx:
            goes_on = not _is_still(tx, revision) or outcomes.activate(tx, revision, now_s=self._clock.now())
        self._say_carried_along(tx, revision)
        return goes_on

    # --- parts of the stages -----------------------------------------------------------------------------------------

    def _plan(self, tx: Writer, revision: Revision, manifest: Manifest | None) -> Plan | None:
        """None: it is not tested."""
        testing = manifest.testing if manifest else None
        if manifest is None or testing is None or not testing.enabled or revision.tests_skipped:
            return None
        return self._runs.plan(tx, revision, manifest, testing)

    def _wait_for(self, begun: Begun) -> bool:
        revision, running = begun.revision, begun.running
        with self._runs.ending(begun.run):
            report = self._runs.wait(running)
            self._stopwatch.add(revision.ref, revision.number, "test", running.took_ms)
            return self._finish_run(revision, begun.run, report, running.plan.testing)

    def _finish_run(self, revision: Revision, run: Run, report: Report, testing: Testing) -> bool:
        """A run that was stopped says nothing about the revision: it is tested again, or has been superseded."""
        with self._stopwatch.measure(revision, "activate"), self._registry.write() as tx:
            judged = self._runs.finish(tx, run, report, testing)
            current = tx.candidate(revision.ref)
            if current is None or current.number != revision.number:
                return True
            if report.reason == "cancelled":
                return False
            if not (judged.accepted or current.forced):
                outcomes.fail(tx, current, run, report)
                return True
            if judged.accepted and current.forced:
                current = tx.change(current, forced=False)  # allowed, and not needed
            elif current.forced:
                log.warning("revision.forced", pack=current.ref, revision=current.number, verdict=judged.sentence)
            tested = outcomes.accept(tx, current, run, report)
            goes_on = outcomes.activate(tx, tested, now_s=self._clock.now())
        self._say_carried_along(tx, revision)
        return goes_on

    def _say_carried_along(self, tx: Writer, revision: Revision) -> None:
        """The others that went into use in the same step: whoever carries them will find nothing left to do."""
        for ref in outcomes.put_in_use_by(tx) - {revision.ref}:
            with self._registry.read() as connection:
                along = queries.active_revision(connection, ref)
            if along is not None:
                self.say_carried(along)

    def _look_again(self, before: Revision) -> tuple[Revision | None, Revision | None, list[str]]:
        """The candidate as it is now; this one, if it has come to its end; and who may wait for what has changed."""
        with self._registry.read() as connection:
            current, waiting = queries.candidate(connection, before.ref), queries.waiting_candidates(connection)
            if current is not None and current.number == before.number:
                return current, None, waiting
            return current, queries.revision(connection, before.ref, before.number) or before, waiting

    def _candidate(self, ref: str) -> Revision | None:
        with self._registry.read() as connection:
            return queries.candidate(connection, ref)


def lane(ref: str) -> str:
    """The lane in which everything about this pack happens, one thing after another."""
    return f"pack:{ref}"


def _said_by(manifest: Manifest) -> dict[str, Any]:
    """What a revision has from its manifest and others go by."""
    needs = tuple({"ref": need.ref, "range": need.range} for need in manifest.needs)
    return {"version": manifest.version, "needs": needs}


def _is_still(tx: Writer, revision: Revision) -> bool:
    """Nothing has happened to the candidate since it was looked up."""
    return tx.candidate(revision.ref) == revision


def _version_problems(tx: Writer, revision: Revision, manifest: Manifest | None) -> tuple[Problem, ...]:
    """A version that went backwards is allowed, but nobody should have to find out by himself."""
    active = tx.active(revision.ref)
    if manifest is None or active is None or active.version is None:
        return ()
    if not Version.coerce(manifest.version) < Version.coerce(active.version):
        return ()
    message = f"version {manifest.version} is older than the active {active.version}; that is allowed"
    return (Problem(code=_WENT_BACKWARDS, file="pack.yaml", message=message, severity="warning"),)
