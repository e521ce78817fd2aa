"""Running a revision's suites: asks the executor, waits, and keeps the means to stop what is under way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from packd.domain.event_data import PackTestStarted
from packd.domain.failures import Code, Failure
from packd.domain.manifest import Suite
from packd.domain.verdict import verdict
from packd.flow import outcomes, tell
from packd.flow.told import Told, on_case, on_progress, on_suite
from packd.registry import queries
from packd.registry.rows import Run
from packd.testrun.executor import CancelToken, RunRequest

if TYPE_CHECKING:
    from concurrent.futures import Future

    from packd.domain.manifest import Manifest, Testing
    from packd.domain.probation import HealthCheck
    from packd.domain.reports import Report, RunReason
    from packd.domain.verdict import Verdict
    from packd.flow.clock import Clock
    from packd.flow.policy import Policy
    from packd.flow.told import Say
    from packd.registry.registry import Registry, Writer
    from packd.registry.rows import Revision
    from packd.snapshot.store import Store
    from packd.testrun.executor import Executor


_LOST: Final = "what came of the tests could not be written down"

WAITING_RUNS: Final = 8  # that are begun before there is a place for them, so that no place stays empty for a moment


@dataclass(kw_only=True, eq=False)
class _UnderWay:
    """A run that can be stopped and followed."""

    number: int  # of the revision
    run_id: str
    token: CancelToken = field(default_factory=CancelToken)
    told: Told = field(default_factory=Told)
    since_s: float = field(default_factory=time.perf_counter)
    has_report: bool = False  # which may not have been taken yet

    def reported(self, _: Future[Report]) -> None:
        self.has_report = True


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be run, and under which id."""

    run_id: str
    started_at: str  # RFC 3339
    revision: Revision
    manifest: Manifest
    testing: Testing


@dataclass(frozen=True, kw_only=True)
class Running:
    """A run that is being carried out."""

    plan: Plan
    under_way: _UnderWay
    report: Future[Report]

    @property
    def took_ms(self) -> float:
        """So far."""
        return (time.perf_counter() - self.under_way.since_s) * 1000


@dataclass(kw_only=True)
class Ahead:
    """What was begun before the transaction that it belongs to has ended."""

    running: Running | None = None


class Runs:
    """Begin, execute, finish. The rows are written in the caller's transactions, the waiting is done outside of them."""

    def __init__(
        self, *, registry: Registry, store: Store, executor: Executor, policy: Policy, clock: Clock, at_once: int = 1
    ) -> None:
        """`at_once` runs are carried out by the executor side by side; more wait there."""
        self._at_once = at_once
        self._registry = registry
        self._store = store
        self._executor = executor
        self._policy = policy
        self._clock = clock
        self._lock = threading.Lock()
        self._under_way: dict[str, _UnderWay] = {}
        self._followers: dict[tuple[str, int], list[Say]] = {}  # by ref and number of the revision
        self._lost: set[str] = set()  # runs that are over, and may have been written down as begun only
        self._kept: set[str] = set()  # packs with a place for a run that is about to be submitted
        self._on_over: Callable[[], None] = _nobody

    def follow(self, policy: Policy) -> None:
        """Decide by this from the next run on."""
        self._policy = policy

    def on_over(self, call: Callable[[], None]) -> None:
        """To be called whenever a run is over, from the thread that waited for it."""
        self._on_over = call

    def under_way(self) -> list[str]:
        """The packs whose tests run now."""
        with self._lock:
            return sorted(self._under_way)

    @contextmanager
    def followed(self, revision: Revision, say: Say | None) -> Iterator[None]:
        """While the block lasts `say` gets what the revision's runs tell, whoever asked for them."""
        key = (revision.ref, revision.number)
        if say is not None:
            with self._lock:
                self._followers.setdefault(key, []).append(say)
        try:
            yield
        finally:
            if say is not None:
                with self._lock:
                    self._followers[key].remove(say)
                    if not self._followers[key]:
                        del self._followers[key]

    def told_of(self, run_id: str) -> Told | None:
        """What a run has told so far, to be followed; None when it is not under way."""
        with self._lock:
            return next((one.told for one in self._under_way.values() if one.run_id == run_id), None)

    def cancel(self, ref: str, *, older_than: int | None = None, why: str = "newer content arrived") -> None:
        """Stop the run of this pack, or only that of a revision before `older_than`."""
        with self._lock:
            running = self._under_way.get(ref)
        if running is not None and (older_than is None or running.number < older_than):
            running.token.cancel(why)

    def cancel_run(self, run_id: str, *, why: str) -> None:
        """Stop this one, if it runs."""
        with self._lock:
            running = [one for one in self._under_way.values() if one.run_id == run_id]
        for one in running:
            one.token.cancel(why)

    def has_room(self, ref: str) -> bool:
        """A run of this pack that began now would not wait for others."""
        with self._lock:
            unfinished = [one for one in self._under_way.values() if not one.has_report]
            return ref not in self._under_way and len(unfinished) < self._at_once

    def is_under_way(self, revision: Revision) -> bool:
        """Is it being tested, for whatever reason?"""
        with self._lock:
            running = self._under_way.get(revision.ref)
        return running is not None and running.number == revision.number

    def is_crowded(self) -> bool:
        """So many runs are under way that one more would only wait, and keep what waits for it from other work."""
        with self._lock:
            return self._places() <= 0

    def keep_place(self, ref: str) -> bool:
        """For a run of this pack that is submitted soon, or the place is given back. False: it is crowded."""
        with self._lock:
            if self._places() <= 0:
                return False
            self._kept.add(ref)
            return True

    def give_back(self, ref: str) -> None:
        """Nothing happens when the place was taken."""
        with self._lock:
            was_kept = ref in self._kept
            self._kept.discard(ref)
        if was_kept:
            self._on_over()

    def _places(self) -> int:
        unfinished = [one for one in self._under_way.values() if not one.has_report]
        return self._at_once + WAITING_RUNS - len(unfinished) - len(self._kept)

    def plan(self, tx: Writer, revision: Revision, manifest: Manifest, testing: Testing) -> Plan:
        """A run that starts with this transaction."""
        run_id = self._clock.new_id("run")
        return Plan(run_id=run_id, started_at=tx.now, revision=revision, manifest=manifest, testing=testing)

    def begin(
        self, tx: Writer, revision: Revision, plan: Plan, *, reason: str, source: str, actor: str
    ) -> tuple[Run, str]:
        """Write down that a run starts, and tell; with the id of the event, which causes the one that tells how it ended.

        `revision`: what was planned for, as it is by now.
        """
        run = Run(
            id=plan.run_id,
            ref=revision.ref,
            number=revision.number,
            trigger_reason=reason,
            source=source,
            actor=actor,
            started_at=plan.started_at,
            finished_at=None,
            status=None,
            accepted=None,
            verdict=None,
            report=None,
        )
        tx.start_run(run)
        suites = tuple(suite.name for suite in plan.testing.suites)
        started = PackTestStarted(pack=outcomes.about(tx, revision), run_id=run.id, suites=suites)
        return run, outcomes.emit(tx, revision, started)

    def submit(self, plan: Plan, *, rebuild: bool = False, say: Say | None = None) -> Running:
        """Have it carried out: from now on it can be stopped and followed. To be waited for.

        `say` gets what the run tells, from another thread. Raises Failure(UNAVAILABLE) when packd is stopping.
        """
        revision = plan.revision
        request = self._request(plan, rebuild=rebuild)
        under_way = _UnderWay(number=revision.number, run_id=plan.run_id)
        with self._lock:
            self._under_way[revision.ref] = under_way
            self._kept.discard(revision.ref)
        try:
            tell_all = self._telling(revision, under_way.told, say)
            report = self._executor.submit(
                request,
                cancel=under_way.token,
                on_case=on_case(tell_all),
                on_suite=on_suite(tell_all),
                on_progress=on_progress(tell_all),
            )
        except BaseException:
            self._is_over(revision.ref, under_way)
            raise
        report.add_done_callback(under_way.reported)
        return Running(plan=plan, under_way=under_way, report=report)

    def wait(self, running: Running) -> Report:
        """Its report; `cancel` ends it early."""
        try:
            return running.report.result()
        finally:
            self._is_over(running.plan.revision.ref, running.under_way)

    @contextmanager
    def ahead(self) -> Iterator[Ahead]:
        """Around a transaction: what was begun in it is ended with it, should it come to nothing."""
        ahead = Ahead()
        try:
            yield ahead
        except BaseException:
            if ahead.running is not None:
                self._lose(ahead.running.plan.run_id)
                ahead.running.under_way.token.cancel("it was not written down")
                self._is_over(ahead.running.plan.revision.ref, ahead.running.under_way)
            raise

    @contextmanager
    def ending(self, run: Run) -> Iterator[None]:
        """Around all that comes behind its beginning, to the transaction that writes down how it ended. What that did
        not take is made up for by `close_lost`."""
        try:
            yield
        except BaseException:
            self._lose(run.id)
            raise

    def _lose(self, run_id: str) -> None:
        with self._lock:
            self._lost.add(run_id)

    def close_lost(self) -> None:
        """Of what was lost since the last time it is said that it came to nothing."""
        with self._lock:
            lost = sorted(self._lost)
        if not lost:
            return
        with self._registry.write() as tx:
            for run_id in lost:
                run = queries.run(tx.connection, run_id)
                if run is not None and run.finished_at is None:
                    tx.finish_run(run_id, status="error", accepted=False, verdict=_LOST, report=None)
        with self._lock:
            self._lost.difference_update(lost)

    def _is_over(self, ref: str, under_way: _UnderWay) -> None:
        with self._lock:
            if self._under_way.get(ref) is under_way:
                del self._under_way[ref]
        under_way.told.finish()
        self._on_over()

    def _telling(self, revision: Revision, told: Told, say: Say | None) -> Say:
        def tell_all(name: str, said: dict[str, Any]) -> None:
            with self._lock:
                followers = list(self._followers.get((revision.ref, revision.number), ()))
            for follower in (told.say, *followers, *((say,) if say is not None else ())):
                follower(name, said)

        return tell_all

    def probe(self, revision: Revision, check: HealthCheck) -> str | None:
        """Run a pack's health command as its tests are run, and leave no record: None, or why it is not healthy.

        What says nothing about the pack, as a missing sandbox, counts as healthy.
        """
        request = RunRequest(
            run_id=self._clock.new_id("run"),
            ref=revision.ref,
            version=revision.version or "",
            tree=self._store.path(revision.digest),
            suites=(Suite(name="health", runner_type="command", command=check.command),),
            default_timeout_s=check.timeout_s,
            limits=self._policy.run_limits,
            result_format=None,
            result_path=None,
            started_at=self._clock.iso(),
            allow_network=self._policy.allow_network,
        )
        report = self._executor.submit(request, cancel=CancelToken()).result()
        if report.status in ("passed", "error", "skipped"):
            return None
        suite = report.test_suites[0] if report.test_suites else None
        code = "" if suite is None or suite.exit_code is None else f" with {suite.exit_code}"
        return f"`{check.command}` ended{code}: {report.status}"

    def finish(self, tx: Writer, run: Run, report: Report, testing: Testing) -> Verdict:
        """Write down what came of it."""
        judged = verdict(report, min_pass_rate=testing.min_pass_rate, on_failure=testing.on_failure)
        tx.finish_run(
            run.id, status=report.status, accepted=judged.accepted, verdict=judged.sentence, report=report.to_dict()
        )
        return judged

    def now(
        self,
        revision: Revision,
        manifest: Manifest | None,
        *,
        runner: str | None,
        rebuild: bool = False,
        say: Say | None = None,
        actor: str,
        source: str,
        reason: RunReason = "manual",
    ) -> Run:
        """Run the suites because somebody asked; nothing becomes active or is rolled back by it.

        `say` gets what it tells, first `started` with its id. With `rebuild` its environments are built anew. Raises Failure when there is nothing to run.
        """
        manifest, testing = _chosen(revision, manifest, runner)
        with self._registry.write() as tx:
            plan = self.plan(tx, revision, manifest, testing)
            run, started = self.begin(tx, revision, plan, reason=reason, source=source, actor=actor)
        if say is not None:
            say("started", {"run_id": run.id})
        with self.ending(run):
            return self._carried_out(revision, run, started, self.submit(plan, rebuild=rebuild, say=say))

    def _carried_out(self, revision: Revision, run: Run, started: str, running: Running) -> Run:
        report, testing = self.wait(running), running.plan.testing
        with self._registry.write() as tx:
            self.finish(tx, run, report, testing)
            if report.reason != "cancelled":  # that says nothing about the pack
                ended = tell.run_ended(outcomes.about(tx, revision), run.id, report)
                outcomes.emit(tx, replace(revision, causation_id=started), ended)
            return queries.finished_run(tx.connection, run.id)

    def _request(self, plan: Plan, *, rebuild: bool) -> RunRequest:
        revision, manifest, testing = plan.revision, plan.manifest, plan.testing
        return RunRequest(
            run_id=plan.run_id,
            ref=revision.ref,
            version=revision.version or "",
            tree=self._store.path(revision.digest),
            suites=testing.suites,
            default_timeout_s=self._policy.suite_timeout_s,
            limits=self._policy.run_limits,
            result_format=testing.result_format,
            result_path=testing.result_path,
            started_at=plan.started_at,
            allow_network=self._policy.allow_network,
            parallel=testing.parallel,
            python_version=manifest.python_version,
            python_dependencies=manifest.python_dependencies,
            rebuild=rebuild,
        )


def _nobody() -> None:
    """Before `on_over` nobody waits for that."""


def _chosen(revision: Revision, manifest: Manifest | None, runner: str | None) -> tuple[Manifest, Testing]:
    """What was asked for."""
    testing = manifest.testing if manifest else None
    if manifest is None or testing is None or not testing.suites:
        raise Failure(Code.BAD_REQUEST, f"No testing configuration found in pack.yaml for pack '{revision.ref}'")
    if runner is None:
        return manifest, testing
    suites = tuple(suite for suite in testing.suites if suite.name == runner)
    if not suites:
        names = ", ".join(suite.name for suite in testing.suites)
        raise Failure(Code.NOT_FOUND, f"'{revision.ref}' has no suite called '{runner}'; it has: {names}")
    return manifest, replace(testing, suites=suites)
