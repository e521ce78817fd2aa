"""A registry with rows in it behind a real server on a real socket, for the tests of the doors."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from ulid import ULID

from packd.api.app import create_app
from packd.api.context import Context
from packd.api.server import Server
from packd.api.tail import Tail
from packd.client import Client
from packd.config import load
from packd.domain.deliveries import Outcome
from packd.domain.event_data import PackRegistered, PackTestFailed
from packd.domain.event_parts import Counts, PackInfo
from packd.domain.failures import Code, Failure
from packd.domain.health import Ailment
from packd.domain.lifecycle import Phase, Trigger
from packd.domain.manifest import Component
from packd.domain.moments import rfc3339
from packd.domain.problems import Problem
from packd.domain.reports import Case, Report, SuiteReport
from packd.flow.audit_trail import AuditTrail
from packd.flow.availability import PutBack, TakenOut
from packd.flow.clock import Clock
from packd.flow.clock_sync import ClockWatch
from packd.flow.dispatch import Dispatcher
from packd.flow.explain import Explanation, explain
from packd.flow.feed import Feed
from packd.flow.health import Health
from packd.flow.install import Installed
from packd.flow.jobs import Jobs, Progress
from packd.flow.metrics import Metrics
from packd.flow.occasion import Door
from packd.flow.once import Once
from packd.flow.plans import Plan
from packd.flow.register import OnRevision, Registered, Registration
from packd.flow.tokens import Tokens
from packd.flow.told import Say, Told
from packd.flow.trip import InstallWish
from packd.flow.webhooks import Webhooks
from packd.notify.envelope import webhook_body
from packd.registry import queries
from packd.registry.database import Database, sqlite_url
from packd.registry.outbox import Outbox
from packd.registry.registry import Registry
from packd.registry.rows import Delivery, Drop, Endpoint, Revision, Run
from packd.sources.catalogue import Catalogue
from packd.terms import shown_settings

NOW_S = 1_769_850_900.0
DIGESTS = {number: "sha256:" + f"{number:x}" * 64 for number in range(1, 10)}
BROKEN = Problem(code="manifest.missing", message="There is no pack.yaml at the top of the pack")


def _settings() -> list[dict[str, Any]]:
    settings = load(None, {"HOME": "/home/ada"}, {"markers": "all"})
    return shown_settings(settings, settings)


def _configuration() -> dict[str, Any]:
    return {"state": "loaded", "file": None, "loaded_at": rfc3339(NOW_S), "rejected": [],
            "needs_restart": ["api.socket"]}  # fmt: skip


@dataclass
class Asked:
    """Stands for the commands of the daemon: notes what was asked, answers from the registry, or refuses."""

    registry: Registry
    calls: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    refusal: Failure | Exception | None = None
    hold: threading.Event | None = None  # a run goes on until it is set
    troubles: list[str] = field(default_factory=list)
    left_alone: list[dict[str, str]] = field(default_factory=list)  # what the status says of what is no drop
    health: list[dict[str, str]] = field(default_factory=list)  # what the status says of it
    told: dict[str, Told] = field(default_factory=dict)  # by runs that are under way
    unread: dict[str, str] = field(default_factory=dict)  # drop that is not on record → why it was not read yet
    plan: Plan = field(default_factory=Plan)  # what an installation comes to
    shelf: Catalogue = field(default_factory=Catalogue)  # what the indexes offer
    settings: list[dict[str, Any]] = field(default_factory=_settings)  # those in force
    configuration: dict[str, Any] = field(default_factory=_configuration)  # and where they come from

    def rollback(self, ref: str, *, to: int | None, force: bool, actor: str) -> tuple[Revision, Revision]:
        self._note("rollback", ref, to=to, force=force, actor=actor)
        with self.registry.write() as tx:
            active = queries.active_revision(tx.connection, ref)
            target = queries.rollback_target(tx.connection, ref)
            assert active is not None
            assert target is not None
            forward = to is not None and to > active.number
            by = Trigger.SUPERSEDED if forward else Trigger.ROLLED_BACK
            return tx.roll_back(active, target, actor=actor, by=by)

    def retry(self, name: str, *, source: Door, actor: str) -> Revision | None:
        self._note("retry", name, source=source, actor=actor)
        with self.registry.read() as connection:
            return queries.latest_revision(connection, name)

    def run_tests(
        self, ref: str, *, runner: str | None, rebuild: bool, say: Say | None, actor: str, source: str
    ) -> Run:
        self._note("run_tests", ref, runner=runner, rebuild=rebuild, actor=actor, source=source)
        if say is not None:
            say("started", {"run_id": "run_1"})
        if self.hold is not None:
            self.hold.wait(30)
        with self.registry.read() as connection:
            run = queries.run_history(connection, ref)[0]
        for suite in (run.report or {}).get("test_suites", ()):
            for case in suite["test_cases"]:
                if say is not None:
                    say("case", {"suite": suite["name"], **case})
        return run

    def told_of(self, run_id: str) -> Told | None:
        return self.told.get(run_id)

    def register(
        self, wish: Registration, *, say: Say | None = None, on_revision: OnRevision | None = None
    ) -> Registered:
        self._note("register", str(wish.path), wish=wish)
        with self.registry.read() as connection:
            revision = queries.active_revision(connection, "core")
            assert revision is not None
            runs = queries.run_history(connection, "core")
        if on_revision is not None:
            on_revision(revision)
        for suite in (runs[0].report or {}).get("test_suites", ()) if runs else ():
            for case in suite["test_cases"]:
                if say is not None:
                    say("case", {"suite": suite["name"], **case})
        if self.hold is not None:
            self.hold.wait(30)
        return Registered(revision=revision, run=runs[0] if runs else None)

    def cancel(self, revision: Revision, *, why: str) -> bool:
        self.calls.append(("cancel", revision.name, {"why": why}))
        if self.hold is not None:
            self.refusal = Failure(Code.CONFLICT, "it was withdrawn")
            self.hold.set()
        return True

    def remove(self, ref: str, *, source: Door, actor: str) -> TakenOut:
        self._note("remove", ref, source=source, actor=actor)
        return self._taken_out(ref)

    def disable(self, ref: str, *, actor: str) -> TakenOut:
        self._note("disable", ref, actor=actor)
        return self._taken_out(ref)

    def enable(self, ref: str, *, source: Door, actor: str) -> PutBack:
        self._note("enable", ref, source=source, actor=actor)
        with self.registry.read() as connection:
            return PutBack(active=queries.active_revision(connection, ref))

    def _taken_out(self, ref: str) -> TakenOut:
        with self.registry.read() as connection:
            return TakenOut(last=queries.active_revision(connection, ref), drop=ref, needed_by=("web",))

    def cancel_run(self, run_id: str, *, why: str) -> None:
        self.calls.append(("cancel_run", run_id, {"why": why}))

    def install(self, wish: InstallWish, progress: Progress) -> Installed:
        self._note("install", wish.source, wish=wish)
        return Installed(plan=self.plan)

    def upgrade(self, refs: Sequence[str], wish: InstallWish, progress: Progress) -> Installed:
        self._note("upgrade", " ".join(refs), wish=wish)
        return Installed(plan=self.plan)

    def catalogue(self, progress: Progress) -> Catalogue:
        self._note("catalogue", "")
        return self.shelf

    def explain(self, name: str) -> Explanation:
        self._note("explain", name)
        with self.registry.read() as connection:
            said = explain(connection, name)
        if said is None:
            raise Failure(Code.NOT_FOUND, f"no pack and no drop is called '{name}'")
        return said

    def why_unread(self, name: str) -> str | None:
        return self.unread.get(name)

    def status(self) -> dict[str, Any]:
        return {
            "version": "0.1.0",
            "pid": 4242,
            "packs_dir": "/srv/packs",
            "state_dir": "/var/lib/packd",
            "started_at": rfc3339(NOW_S),
            "watch": {
                "state": "degraded" if self.troubles else "watching",
                "watches": 7,
                "folders": 7,
                "limit": 8192,
                "troubles": self.troubles,
            },
            "packs": {"active": 2, "waiting": 0, "testing": 0, "refused": 1, "total": 3},
            "queue": {"settling": 1, "jobs": 1, "testing": ["core"]},
            "endpoints": [
                {"name": "ci", "url": "https://ci.example/hook", "state": "enabled", "pending": 2, "delivered": 11,
                 "exhausted": 0, "last_error": "connection refused"},
            ],
            "isolation": "basic",
            "not_contained": ["prlimit is missing: memory is not limited"],
            "left_alone": self.left_alone,
            "health": self.health
            + [
                {"part": "disk", "grade": "degraded", "reason": f"{trouble} is nearly full: make room"}
                for trouble in self.troubles
            ],
            "configuration": self.configuration,
        }  # fmt: skip

    def _note(self, name: str, subject: str, **more: Any) -> None:
        self.calls.append((name, subject, more))
        if self.refusal is not None:
            raise self.refusal


@dataclass
class Postman:
    """Stands for the courier: every attempt comes back at once, as `answer` says."""

    answer: Outcome = field(default_factory=lambda: Outcome(status=204))
    carried: list[Delivery] = field(default_factory=list)

    def carry(self, endpoint: Endpoint, delivery: Delivery, done: Any) -> None:
        self.carried.append(delivery)
        done(delivery, self.answer)


@dataclass
class Ground:
    """What a test of the doors stands on."""

    folder: Path
    registry: Registry
    feed: Feed
    asked: Asked
    postman: Postman
    dispatcher: Dispatcher
    health: Health
    ailing: list[Ailment]  # what else is wrong with the daemon
    server: Server
    socket: Path

    @property
    def client(self) -> Client:
        return Client(self.socket)

    # --- seeding -----------------------------------------------------------------------------------------------------

    def add_revision(self, ref: str, number: int, phase: Phase = Phase.SNAPSHOTTED, **changes: Any) -> Revision:
        """A revision straight into `phase`, with its pack."""
        values: dict[str, Any] = {
            "digest": DIGESTS[number],
            "version": f"1.{number}.0",
            "path": f"/srv/packs/{ref}",
            "trigger": "fs",
            "source": "watch",
            "correlation_id": f"chg_{number}",
            "causation_id": None,
            "files": 3,
            "bytes": 300,
            "fields": {"ref": ref, "label": f"The {ref} pack", "description": "Does things.", "author": "somebody"},
            "needs": (),
            "problems": (),
            "waits_for": (),
            "forced": False,
            "tests_skipped": False,
            "first_change_at_s": NOW_S,
            "created_at": rfc3339(NOW_S + number),
            "phase_at": rfc3339(NOW_S + number),
            **changes,
        }
        with self.registry.write() as tx:
            tx.claim_pack(ref, drop_name=ref, path=f"/srv/packs/{ref}")
            revision = Revision(ref=ref, number=number, phase=phase, **values)
            tx.add_revision(revision)
            return revision

    def activate(self, ref: str, number: int) -> Revision:
        """A new revision in use, whatever was in use before."""
        revision = self.add_revision(ref, number, Phase.TESTED)
        with self.registry.write() as tx:
            tx.set_components(revision, [
                Component(kind="action", ref=f"{ref}.go", label="Go", path="actions/go.yaml", runner_type="shell"),
                Component(kind="policy", ref=f"{ref}.calm", label="Calm", path="policies/calm.yaml"),
            ])  # fmt: skip
            before = queries.active_revision(tx.connection, ref)
            active = tx.activate(revision, before, reason="updated" if before else "registered", actor="watch")
            tx.emit(
                PackRegistered(pack=about(active), duration_ms=12.0, components={"actions": 1}, tests_skipped=False,
                               forced=False),
                correlation_id=active.correlation_id,
            )  # fmt: skip
            return active

    def wait(self, ref: str, number: int, *missing: dict[str, str]) -> Revision:
        """A candidate that also needs `core`, which it has, and a Python."""
        needs = (*({"ref": one["ref"], "range": one["version"]} for one in missing), {"ref": "core", "range": "*"})
        fields = {"ref": ref, "dependencies": {"packs": [need["ref"] for need in needs], "python_version": ">=3.9"}}
        revision = self.add_revision(ref, number, Phase.VALIDATED, needs=needs, fields=fields)
        with self.registry.write() as tx:
            return tx.move(revision, Trigger.WAITING, waits_for=missing)

    def add_run(self, ref: str, number: int, made: Report | None = None, **changes: Any) -> Run:
        """A finished run, or with `made` None one that is under way."""
        with self.registry.write() as tx:
            run = Run(id=f"run_{ULID()}", ref=ref, number=number, trigger_reason="install", source="watch",
                      actor="watch", started_at=rfc3339(NOW_S + number), finished_at=None, status=None, accepted=None,
                      verdict=None, report=None)  # fmt: skip
            tx.start_run(run)
            if made is not None:
                good = made.status == "passed"
                tx.finish_run(run.id, status=made.status, accepted=good, verdict="as it should be" if good else
                              "1 of 3 tests failed", report=made.to_dict())  # fmt: skip
            return run

    def say(self, ref: str = "core", times: int = 1, *, version: str = "1.0.0") -> None:
        """Events about a pack, each in a commit of its own."""
        for _ in range(times):
            with self.registry.write() as tx:
                tx.emit(
                    PackTestFailed(pack=PackInfo(ref=ref, version=version, revision=1, path=f"/srv/packs/{ref}",
                                                 digest=DIGESTS[1]),
                                   run_id="run_1", duration_ms=5.0, tests=Counts(total=2, passed=1, failed=1, skipped=0),
                                   pass_rate=0.5, reason="failures", failures=(), output_tail=""),
                    correlation_id="chg_1",
                )  # fmt: skip

    def refuse_drop(self, name: str, **changes: Any) -> None:
        with self.registry.write() as tx:
            tx.save_drop(Drop(name=name, kind="folder", problems=(BROKEN.to_dict(),), **changes))

    def fail(self, ref: str, number: int) -> Revision:
        """A candidate whose tests failed."""
        revision = self.add_revision(ref, number, Phase.VALIDATED)
        self.add_run(ref, number, report(ref, failed=True))
        with self.registry.write() as tx:
            return tx.move(revision, Trigger.TESTS_FAILED)


def about(revision: Revision) -> PackInfo:
    return PackInfo(ref=revision.ref, version=revision.version, revision=revision.number, path=revision.path,
                    digest=revision.digest)  # fmt: skip


def a_context(registry: Registry, asked: Asked, feed: Feed, **changes: Any) -> Context:
    """Everything the door works with, over a registry."""
    parts: dict[str, Any] = {
        "registry": registry,
        "commands": asked,
        "registrar": asked,
        "availability": asked,
        "jobs": Jobs(registry=registry, clock=Clock()),
        "installer": asked,
        "webhooks": Webhooks(
            registry=registry,
            dispatcher=Dispatcher(registry=registry, courier=Postman(), clock=Clock()),
            clock=Clock(),
        ),
        "once": Once(registry=registry, clock=Clock()),
        "tokens": Tokens(registry=registry, clock=Clock()),
        "metrics": Metrics(clock=Clock()).exposition,
        "tail": Tail(feed),
        "packs_dir": Path("/srv/packs"),
        "health": Health(registry=registry, clock_watch=ClockWatch()),
        "settings": lambda: asked.settings,
    }
    return Context(**{**parts, **changes})


def report(ref: str = "core", *, failed: bool = False) -> Report:
    """Two suites, three executed cases and a skipped one."""
    broken = Case(name="test_gone", status="failed", duration_ms=3.0, stdout="looking…\n",
                  error_message="Traceback (most recent call last):\n  …\nAssertionError: 'a' != 'b'")  # fmt: skip
    python = (
        Case(name="test_there", status="passed", duration_ms=2.0),
        broken if failed else Case(name="test_gone", status="passed", duration_ms=3.0),
        Case(name="test_later", status="skipped", error_message="not on this machine"),
    )
    status = "failed" if failed else "passed"
    reason = "failures" if failed else None
    suites = (
        SuiteReport(name="shell", runner_type="script", status="passed", total=1, passed=1, duration_ms=8.0, exit_code=0, network_denied=True,
                    test_cases=(Case(name="shell", status="passed", duration_ms=8.0),)),
        SuiteReport(name="python", runner_type="unittest", status=status, reason=reason, total=3,
                    passed=1 if failed else 2, failed=int(failed), skipped=1, duration_ms=9.0, exit_code=int(failed),
                    test_cases=python, output_tail="FAILED (failures=1)\n" if failed else "OK\n"),
    )  # fmt: skip
    return Report(pack_ref=ref, pack_version="1.0.0", status="partial" if failed else "passed", reason=reason,
                  execution_time=rfc3339(NOW_S), duration_ms=17.0, isolation="basic", test_suites=suites,
                  not_contained=("prlimit is missing: memory is not limited", "nothing is hidden"))  # fmt: skip


@contextmanager
def made_ground() -> Iterator[Ground]:
    """Everything up, and down again."""
    folder = Path(tempfile.mkdtemp(prefix="packd-doors-"))
    logging = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger("critical")
    )  # stdout belongs to the commands
    database = Database(sqlite_url(folder))
    database.prepare()
    clock = iter(range(10**9))
    registry = Registry(
        database,
        outbox_of=Outbox(source="packd://here", new_id=lambda: f"evt_{ULID()}", webhook_body=webhook_body),
        now=lambda: NOW_S + next(clock) / 1000,
    )
    feed, asked = Feed(0), Asked(registry)
    health, ailing = Health(registry=registry, clock_watch=ClockWatch()), list[Ailment]()
    health.also(lambda: ailing)
    health.working()
    registry.on_commit(feed.committed)
    postman = Postman()
    dispatcher = Dispatcher(registry=registry, courier=postman, clock=Clock())
    registry.on_commit(dispatcher.committed)
    dispatcher.start()
    webhooks = Webhooks(registry=registry, dispatcher=dispatcher, clock=Clock())
    trail = AuditTrail(registry=registry, clock=Clock())
    context = a_context(registry, asked, feed, webhooks=webhooks, health=health, trail=trail)
    server = Server(create_app(context), folder / "packd.sock", tail=context.tail, grace_s=1.0)
    server.start()
    try:
        yield Ground(folder, registry, feed, asked, postman, dispatcher, health, ailing, server, folder / "packd.sock")
    finally:
        server.stop()
        dispatcher.stop(5.0)
        database.close()
        structlog.configure(**logging)
        shutil.rmtree(folder)
