"""Builds everything from the settings. The only module that names every room."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from packd import __version__
from packd.domain.health import Pulse
from packd.extent import extent_of
from packd.flow.announce import announce
from packd.flow.availability import Availability
from packd.flow.carrying import Carrying
from packd.flow.clock import Clock
from packd.flow.clock_sync import ClockWatch
from packd.flow.commands import Commands
from packd.flow.configuration import Configuration
from packd.flow.consistency import Checkup
from packd.flow.courier import NetworkCourier
from packd.flow.dispatch import Dispatcher
from packd.flow.endpoint_gauges import EndpointGauges
from packd.flow.feed import Feed
from packd.flow.fetching import Fetcher
from packd.flow.foothold import Foothold
from packd.flow.gauges import Gauges
from packd.flow.health import Health
from packd.flow.install import Installer
from packd.flow.intake import Intake
from packd.flow.integrity import Integrity
from packd.flow.jobs import Jobs
from packd.flow.left_alone import LeftAlone
from packd.flow.links import Links
from packd.flow.markers import Markers
from packd.flow.metrics import Metrics
from packd.flow.once import Once
from packd.flow.pipeline import Pipeline
from packd.flow.probation import Probation
from packd.flow.projections import Projections
from packd.flow.readings import Readings
from packd.flow.reconcile import Reconciler
from packd.flow.register import Registrar
from packd.flow.removal import ROOT_IDENTITY, Removal
from packd.flow.restore import Restorer
from packd.flow.revalidation import Revalidation
from packd.flow.runs import WAITING_RUNS, Runs
from packd.flow.schedule import Schedule
from packd.flow.second_chances import SecondChances
from packd.flow.settling import Settling
from packd.flow.space import Space
from packd.flow.status import Status
from packd.flow.stopwatch import Stopwatch
from packd.flow.sweep import Sweeper
from packd.flow.tokens import Tokens
from packd.flow.unread import Unread
from packd.flow.watchkeeping import Watchkeeper
from packd.flow.webhooks import Webhooks
from packd.flow.workers import Lanes
from packd.notify.envelope import webhook_body
from packd.registry import queries
from packd.registry.conditions import SCHEMA_VERSION
from packd.registry.database import Database, sqlite_url
from packd.registry.outbox import Outbox
from packd.registry.registry import Registry
from packd.registry.rows import StoredEvent
from packd.snapshot.store import Store
from packd.terms import (
    delivery_rules,
    fetch_terms,
    footing,
    pack_indexes,
    policy_of,
    retention_ages,
    retention_terms,
    shown_settings,
)
from packd.testrun.environments.cache import Environments
from packd.testrun.environments.origins import Origins
from packd.testrun.executor import LocalExecutor
from packd.testrun.interpreters import Interpreters, python_path
from packd.testrun.ladder import choose
from packd.watch.settle import Settler
from packd.watch.watcher import Watcher

if TYPE_CHECKING:
    from packd.config import Settings
    from packd.flow.exclusive import Lock
    from packd.notify.sender import Sender
    from packd.testrun.ladder import Rung
    from packd.testrun.sandbox import Sandbox

log = structlog.get_logger(__name__)

Committed = Callable[[tuple[StoredEvent, ...]], None]

_LANE_THREADS: Final = 24  # beside those that wait for a run


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)  # there is one, and making these takes long
class Parts:
    """Everything that a daemon starts, asks and stops."""

    settings: Settings
    database: Database
    registry: Registry
    store: Store
    executor: LocalExecutor
    missed_rungs: tuple[Rung, ...]  # better isolation that does not work here
    lanes: Lanes
    settling: Settling
    intake: Intake
    pipeline: Pipeline
    projections: Projections
    restorer: Restorer
    keeper: Watchkeeper
    watcher: Watcher
    reconciler: Reconciler
    schedule: Schedule
    courier: NetworkCourier
    dispatcher: Dispatcher
    webhooks: Webhooks
    metrics: Metrics
    readings: Readings
    clock_watch: ClockWatch
    feed: Feed
    commands: Commands
    registrar: Registrar
    availability: Availability
    jobs: Jobs
    installer: Installer
    once: Once
    tokens: Tokens
    second_chances: SecondChances
    environments: Environments
    space: Space
    foothold: Foothold
    sweeper: Sweeper
    integrity: Integrity
    revalidation: Revalidation
    probation: Probation
    interpreters: Interpreters
    markers: Markers
    runs: Runs
    health: Health
    configuration: Configuration
    status: Status
    clock: Clock


def build(settings: Settings, *, queue: int | None = None, lock: Lock | None = None) -> Parts:
    """Make every part and join them; nothing is started and nothing runs yet. `queue`: see Watcher; `lock`: Foothold.

    Raises SchemaMismatch when the database is newer than this packd, NoRung when the isolation that is wanted can't
    be had.
    """
    clock = Clock()
    folder = extent_of(settings).folder()
    database, registry = _registry(settings, clock)
    metrics = Metrics(clock=clock)
    stopwatch = Stopwatch(metrics.staged)
    store = Store(settings.state_dir / "store", folder.limits)
    interpreters = Interpreters(python_path(settings.tests.python))
    environments = Environments(settings.state_dir / "environments")
    sandbox, missed_rungs = choose(settings.tests.isolation, footing(settings))
    executor = local_executor(
        settings, store, settings.state_dir / "work", sandbox, interpreters=interpreters, environments=environments
    )
    lanes = Lanes(_LANE_THREADS + _workers(settings) + WAITING_RUNS)
    policy = policy_of(settings, interpreters)
    settler = Settler(settings.watch.quiet_ms / 1000, settings.watch.longest_wait_s)
    settling = Settling(settler, remove_grace_s=settings.watch.remove_grace_s, clock=clock)
    runs = Runs(
        registry=registry, store=store, executor=executor, policy=policy, clock=clock, at_once=_workers(settings)
    )
    pipeline = Pipeline(
        registry=registry, store=store, runs=runs, lanes=lanes, policy=policy, clock=clock, stopwatch=stopwatch
    )
    markers = Markers(settings.packs_dir, settings.markers, known_as=partial(_packs_dir_known, registry))
    projections = Projections(
        registry=registry,
        store=store,
        links=Links(settings.state_dir / "active"),
        markers=markers,
    )
    removal = Removal(
        folder=folder,
        registry=registry,
        settling=settling,
        pipeline=pipeline,
        projections=projections,
        runs=runs,
        lanes=lanes,
        clock=clock,
    )
    keeper = Watchkeeper(packs_dir=settings.packs_dir, registry=registry, settling=settling, clock=clock)
    space = Space(settings.state_dir, floor_mb=settings.retention.min_free_mb, keeper=keeper)
    restorer = Restorer(
        enabled=settings.rollback.folder == "restore",
        folder=folder,
        kept_hours=settings.retention.failed_hours,
        registry=registry,
        store=store,
        projections=projections,
        settling=settling,
        lanes=lanes,
    )
    intake = Intake(
        folder=folder,
        registry=registry,
        store=store,
        pipeline=pipeline,
        runs=runs,
        settling=settling,
        removal=removal,
        projections=projections,
        restorer=restorer,
        lanes=lanes,
        clock=clock,
        stopwatch=stopwatch,
        at_once=os.cpu_count() or 1,
        space=space,
        left_alone=LeftAlone(folder),
    )
    watcher = Watcher(
        settings.packs_dir,
        ignore=folder.ignore,
        on_hint=keeper.on_hint,
        on_trouble=keeper.on_trouble,
        on_recovered=keeper.on_recovered,
        queue=queue,
    )
    reconciler = Reconciler(
        folder=folder,
        registry=registry,
        settling=settling,
        intake=intake,
        removal=removal,
        pipeline=pipeline,
        projections=projections,
        keeper=keeper,
        watcher=watcher,
        lanes=lanes,
        clock=clock,
        done=partial(metrics.completed, "reconcile"),
    )
    keeper.scan_with(reconciler.request)
    courier = NetworkCourier(_sender)
    clock_watch = ClockWatch()
    dispatcher = Dispatcher(
        registry=registry,
        courier=courier,
        clock=clock,
        rules=delivery_rules(settings),
        on_attempt=metrics.attempted,
    )
    with registry.read() as connection:
        feed = Feed(queries.last_seq(connection))
    # The order of telling: what is on disk first; webhooks, which leave while the log is written; then everybody else.
    for listener in (
        projections.committed,
        dispatcher.committed,
        announce,
        metrics.committed,
        restorer.committed,
        removal.committed,
        feed.committed,
        keeper.committed,
        pipeline.committed,
    ):
        registry.on_commit(_guarded(listener))
    configuration = Configuration(settings=partial(shown_settings, settings, settings), loaded_at=clock.iso())
    health = Health(registry=registry, clock_watch=clock_watch)
    health.include(
        partial(_pulse_of_watcher, watcher),
        settling.pulse,
        lambda: lanes.pulse(resting=len(runs.under_way())),
        lambda: Pulse(part="testrun", alive=executor.alive()),
        dispatcher.pulse,
        courier.pulse,
    )
    foothold = Foothold(database=database, lock=lock)
    health.also(space.ailments, keeper.ailments, foothold.ailments)
    sweeper = Sweeper(
        registry=registry,
        database=database,
        store=store,
        runs=runs,
        clock=clock,
        terms=retention_terms(settings),
        ages=retention_ages(settings),
        told=metrics.swept,
    )
    checkup = Checkup(
        database=database,
        store=store,
        active=settings.state_dir / "active",
        packs_dir=settings.packs_dir,
        ignore=folder.ignore,
    )
    status = Status(
        packs_dir=settings.packs_dir,
        state_dir=settings.state_dir,
        registry=registry,
        keeper=keeper,
        watcher=watcher,
        lanes=lanes,
        settling=settling,
        runs=runs,
        started_at=clock.iso(),
        isolation=executor.isolation,
        health=health,
        configuration=configuration,
        not_contained=executor.shortcomings,
        left_alone=intake.left_alone,
    )
    readings = Readings(store=store, environments=environments, registry=registry)
    metrics.show(
        EndpointGauges(registry=registry, clock=clock, found=metrics.only),
        Gauges(
            registry=registry,
            database=database,
            health=health,
            clock_watch=clock_watch,
            keeper=keeper,
            watcher=watcher,
            lanes=lanes,
            settling=settling,
            runs=runs,
            space=space,
            readings=readings,
            isolation=executor.isolation,
        ),
    )
    unread = Unread(registry=registry, folder=folder, settling=settling, space=space)
    commands = Commands(
        registry=registry,
        pipeline=pipeline,
        runs=runs,
        settling=settling,
        lanes=lanes,
        status=status,
        clock=clock,
        unread=unread,
        has_content=store.has,
        is_whole=checkup.is_whole,
    )
    probation = Probation(
        registry=registry,
        runs=runs,
        commands=commands,
        clock=clock,
        probation_s=settings.rollback.probation_s,
        told=metrics.probed,
    )
    registry.on_commit(_guarded(probation.committed))
    registrar = Registrar(
        space=space,
        folder=folder,
        registry=registry,
        store=store,
        pipeline=pipeline,
        runs=runs,
        lanes=lanes,
        clock=clock,
    )
    availability = Availability(
        registry=registry, pipeline=pipeline, runs=runs, settling=settling, lanes=lanes, clock=clock, unread=unread
    )
    carrying = Carrying(
        registrar=registrar,
        commands=commands,
        availability=availability,
        pipeline=pipeline,
        lanes=lanes,
        registry=registry,
    )
    return Parts(
        settings=settings,
        database=database,
        registry=registry,
        store=store,
        executor=executor,
        missed_rungs=missed_rungs,
        lanes=lanes,
        settling=settling,
        intake=intake,
        pipeline=pipeline,
        projections=projections,
        restorer=restorer,
        keeper=keeper,
        watcher=watcher,
        reconciler=reconciler,
        schedule=Schedule(),
        courier=courier,
        dispatcher=dispatcher,
        webhooks=Webhooks(registry=registry, dispatcher=dispatcher, clock=clock),
        metrics=metrics,
        readings=readings,
        clock_watch=clock_watch,
        feed=feed,
        commands=commands,
        registrar=registrar,
        availability=availability,
        installer=Installer(
            fetcher=Fetcher(settings.state_dir / "fetch", fetch_terms(settings)),
            indexes=pack_indexes(settings),
            registrar=registrar,
            carrying=carrying,
            registry=registry,
        ),
        jobs=Jobs(registry=registry, clock=clock),
        once=Once(registry=registry, clock=clock),
        tokens=Tokens(registry=registry, clock=clock),
        second_chances=SecondChances(
            registry=registry, commands=commands, lanes=lanes, clock=clock, reconcile=reconciler.request
        ),
        environments=environments,
        space=space,
        foothold=foothold,
        sweeper=sweeper,
        integrity=Integrity(
            registry=registry,
            store=store,
            checkup=checkup,
            projections=projections,
            clock=clock,
            done=partial(metrics.completed, "integrity"),
        ),
        probation=probation,
        revalidation=Revalidation(registry=registry, commands=commands, roll_back=settings.rollback.on_revalidation),
        interpreters=interpreters,
        markers=markers,
        runs=runs,
        health=health,
        configuration=configuration,
        status=status,
        clock=clock,
    )


def _packs_dir_known(registry: Registry) -> str | None:
    """Which folder reconciling knows as the packs directory."""
    with registry.read() as connection:
        return queries.fact(connection, ROOT_IDENTITY)


def local_executor(
    settings: Settings,
    store: Store,
    work: Path,
    sandbox: Sandbox,
    *,
    interpreters: Interpreters,
    environments: Environments,
) -> LocalExecutor:
    """Runs suites on this machine."""
    work.mkdir(parents=True, exist_ok=True)
    return LocalExecutor(
        work,
        workers=_workers(settings),
        copy_tree=store.copy_tree,
        sandbox=sandbox,
        interpreters=interpreters,
        environments=environments,
        origins=Origins(**settings.tests.origins()),
        grace_s=settings.tests.grace_s,
        on_trouble=lambda trouble: log.error("testrun.trouble", detail=trouble),
        apart=threading.active_count() == 1,
    )


def _workers(settings: Settings) -> int:
    """How many runs are carried out at once."""
    return settings.tests.workers or os.cpu_count() or 1


def _pulse_of_watcher(watcher: Watcher) -> Pulse:
    supervised, looked_s_ago = watcher.pulse()
    return Pulse(part="watch", alive=supervised, waiting_s=looked_s_ago)


def _guarded(listener: Committed) -> Committed:
    """What happened has happened: a listener that breaks must neither undo it nor keep the others from hearing."""

    def call(events: tuple[StoredEvent, ...]) -> None:
        try:
            listener(events)
        except Exception:
            log.exception("listener.failed", listener=getattr(listener, "__qualname__", repr(listener)))

    return call


def _sender() -> Sender:
    from packd.notify.sender import Sender

    return Sender(user_agent=f"packd/{__version__}")


def _registry(settings: Settings, clock: Clock) -> tuple[Database, Registry]:
    url = settings.database_url
    database = Database(url.get_secret_value() if url else sqlite_url(settings.state_dir))
    database.occupy()
    kept = database.prepare()
    if kept is not None:
        log.info("database.upgraded", schema=SCHEMA_VERSION, kept=str(kept))
    outbox = Outbox(
        source=f"packd://{socket.gethostname()}", new_id=lambda: clock.new_id("evt"), webhook_body=webhook_body
    )
    return database, Registry(database, outbox_of=outbox, now=clock.now)
