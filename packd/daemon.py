"""Runs what bootstrap built until a signal: the order of starting and stopping, each line with its reason."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from packd import __version__
from packd.api.front import Front
from packd.api.server import Server
from packd.api.tail import Tail
from packd.attending import Attendant
from packd.bootstrap import build
from packd.config import Source
from packd.domain.event_data import DaemonStarted, DaemonStopping
from packd.domain.lifecycle import Phase
from packd.flow.diagnosis.machine import open_files
from packd.flow.endpoints import follow_configuration
from packd.flow.explain import explain_drop
from packd.flow.integrity import LANE as INTEGRITY_LANE
from packd.flow.readings import LANE as READINGS_LANE
from packd.flow.reconcile import LANE
from packd.flow.server_start import await_server
from packd.flow.sweep import LANE as SWEEP_LANE
from packd.processors import HERE
from packd.registry import queries
from packd.reloading import Reloader
from packd.service.notify import Notifier
from packd.service.signals import Signals
from packd.service.sockets import inherited
from packd.terms import configured_endpoints, revalidation_moment
from packd.testrun.leftovers import kill_leftovers

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from starlette.types import ASGIApp

    from packd.bootstrap import Parts
    from packd.config import Settings
    from packd.flow.exclusive import Lock
    from packd.flow.explain import Explanation
    from packd.registry.database import Database
    from packd.registry.registry import Writer
    from packd.scout import Scout
    from packd.testrun.executor import LocalExecutor
    from packd.testrun.ladder import Rung

log = structlog.get_logger("packd")

_STOP: Final = "last_stop"  # the fact that says how the daemon ended
_BEGUN: Final = "begun_at"  # the fact that says when a daemon last began
_LANES_GRACE_S: Final = 3.0  # for steps that do not wait for a run
_DELIVERY_GRACE_S: Final = 3.0  # for the delivery in hand
_SUITES_END_S: Final = 30.0  # at most, to be sure that nothing of a suite is left
_STEP_S: Final = 10.0  # a step that only writes something down
_TELLING_S: Final = 30.0  # `--once` waits so long for endpoints to be told
_GLANCE_S: Final = 0.05  # `--once` looks so often whether everything has come to its end
_SWEEP_EVERY_S: Final = 3600.0
_SECOND_CHANCES_EVERY_S: Final = 30.0
_CLOCK_EVERY_S: Final = 600.0
_DAY_S: Final = 86_400.0
_READINGS_EVERY_S: Final = 60.0  # as often as most are scraped
_SHORT_TURN_S: Final = 0.0005  # of a thread that wants the interpreter for itself
_PROCESSORS_EVERY_S: Final = 10.0  # reading one file
_SPACE_EVERY_S: Final = 10.0  # one system call
_FOOTHOLD_EVERY_S: Final = 10.0  # a few system calls
_SOCKET_EVERY_S: Final = 10.0  # another one


def run(
    settings: Settings,
    *,
    once: bool = False,
    source: Source | None = None,
    scout: Scout | None = None,
    lock: Lock | None = None,
) -> int:
    """The daemon, until SIGTERM or SIGINT; with `once`, until everything is reconciled.

    To be called with the state directory locked, by `lock`. `source` says how to read the settings again, for SIGHUP; `scout` is
    who went ahead. Returns 0, or with `once` 1 when something that lies in the packs directory is not in use.
    Raises SchemaMismatch for the database of a newer packd; DatabaseAway when its server does not answer; OSError when a
    folder can't be made; DiskFull.
    """
    _await_server(settings)
    parts = build(settings, queue=scout.queue if scout is not None else None, lock=lock)
    try:
        return _run_once(parts) if once else _run_until_signal(parts, source or _fixed(settings), scout)
    finally:
        _close(parts.database)


def _await_server(settings: Settings) -> None:
    """Under a service manager, which starts it and packd side by side. A person at a terminal sees at once what is wrong."""
    if settings.database_url is not None and "NOTIFY_SOCKET" in os.environ:
        await_server(settings.database_url.get_secret_value())


def _run_until_signal(parts: Parts, source: Source, scout: Scout | None) -> int:
    signals = (None if scout is None else scout.signals) or Signals()
    notifier = Notifier(os.environ)
    reloader = Reloader(parts, source)
    begun = threading.Event()
    server, front = serving(parts, bound=None if scout is None else scout.door)

    def first_reconcile() -> None:
        try:
            _first_reconcile(parts, begun, scout)
        finally:
            threading.Thread(target=_complete, args=(parts, front), name="complete", daemon=True).start()

    _begin(parts)
    parts.watcher.start(walk=False)  # before comparing, which watches each folder before it looks at what is in it
    # Early: `packd status` answers while a large folder is still being compared.
    server.start([] if scout is None else _take_over(parts, scout))
    parts.lanes.submit(LANE, first_reconcile)
    _keep_time(parts)
    parts.clock_watch.ask()
    parts.probation.start()
    parts.schedule.every(_SOCKET_EVERY_S, server.mind_the_file, name="socket")
    parts.health.include(server.pulse, front.pulse, parts.schedule.pulse)
    log.info("daemon.listening", socket=str(parts.settings.socket_path), packs_dir=str(parts.settings.packs_dir))
    begun.wait()
    notifier.ready(f"Comparing {parts.settings.packs_dir} with the registry")
    Attendant(parts, signals=signals, notifier=notifier, reloader=reloader).attend()
    _stop(parts, server, notifier)
    return 0


def _take_over(parts: Parts, scout: Scout) -> list[socket.socket]:
    """Those who wait at the door. Who was told that packd is ready is not told otherwise now."""
    waiting = scout.relieve()
    if scout.is_back and scout.survey().at_rest:
        parts.health.working()
    return waiting


def _fixed(settings: Settings) -> Source:
    """Settings that come from nowhere that could change."""
    return Source(load=lambda: settings, file=None)


def _run_once(parts: Parts) -> int:
    """No watching and no door: compare, carry everything to its end, tell, and say whether all is in use."""
    _begin(parts)
    _first_reconcile(parts, threading.Event(), None)
    _collect_garbage()
    _come_to_rest(parts)
    parts.dispatcher.wait_empty(_TELLING_S)
    unused = _not_in_use(parts)
    for name, explained in unused.items():  # as `packd why` would, which nobody answers once this has ended
        why, details = ("", ()) if explained is None else (explained.headline, explained.lines)
        log.error("drop.not_in_use", drop=name, why=why, details=[line for line in details if line])
    _stop(parts, None, Notifier({}))
    return 1 if unused else 0


def _come_to_rest(parts: Parts) -> None:
    """Until nothing is to settle and nothing is in a lane. The last that happens in one may be that a drop is to settle
    once more."""
    while (is_settling := parts.settling.waiting() > 0) or parts.lanes.depth() or parts.settling.waiting():
        parts.lanes.wait_idle(_GLANCE_S)
        if is_settling:  # which the lanes know nothing of
            time.sleep(_GLANCE_S)


# --- starting --------------------------------------------------------------------------------------------------------


def _begin(parts: Parts) -> None:
    """What has to be right before anything new happens."""
    _say_isolation(parts.executor, parts.missed_rungs)
    files = open_files()
    if files.outcome != "ok":
        log.warning("daemon.few_files", detail=files.said, fix=files.fix)
    kill_leftovers(parts.settings.state_dir / "work")  # a daemon that was killed may have left suites running
    parts.store.clear_temporaries()
    _close_open_runs(parts)
    parts.jobs.close_open()
    follow_configuration(parts.registry, configured_endpoints(parts.settings), clock=parts.clock)
    parts.courier.start()
    parts.dispatcher.start()  # what was not told before the last stop leaves now
    parts.installer.recover()
    parts.settling.start(take=parts.intake.take_soon, remove=parts.intake.remove_soon)
    parts.restorer.resume()


def _say_isolation(executor: LocalExecutor, missed: Sequence[Rung]) -> None:
    say = log.warning if executor.as_root else log.info
    say(
        "isolation.chosen",
        isolation=executor.isolation,
        not_contained=list(executor.shortcomings),
        missed={rung.name: rung.why_not for rung in missed},
    )


def _complete(parts: Parts, front: Front) -> None:
    """What can wait until the folder was compared: all of it takes the processor from comparing."""
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(_SHORT_TURN_S)  # who asks, or drops something, meanwhile does not wait for imports
    try:
        _in_lane(parts, READINGS_LANE, parts.readings.look)
        parts.schedule.start()
        front.build()
    finally:
        sys.setswitchinterval(usual_s)
    _collect_garbage()
    HERE.settle()


def _look_for_room() -> None:
    if HERE.look():
        log.debug("processor.changed", processor=HERE.home)


def _collect_garbage() -> None:
    """From now on; what the start made stays, and is not looked at."""
    gc.freeze()
    gc.enable()


def _keep_time(parts: Parts) -> None:
    parts.schedule.every(parts.settings.watch.reconcile_every_s, parts.reconciler.request, name="reconcile")
    parts.schedule.every(_SWEEP_EVERY_S, parts.restorer.sweep, name="sweep")
    parts.schedule.every(_SWEEP_EVERY_S, partial(_sweep_environments, parts), name="sweep-environments")
    parts.schedule.every(_CLOCK_EVERY_S, parts.clock_watch.ask, name="clock")
    parts.schedule.every(_SECOND_CHANCES_EVERY_S, parts.second_chances.request, name="second-chances")
    parts.schedule.every(_SWEEP_EVERY_S, partial(_in_lane, parts, SWEEP_LANE, parts.sweeper.sweep), name="sweep-store")
    parts.schedule.every(_PROCESSORS_EVERY_S, _look_for_room, name="processors")
    parts.schedule.every(_SPACE_EVERY_S, parts.space.check, name="space")
    parts.schedule.every(_FOOTHOLD_EVERY_S, parts.foothold.check, name="foothold")
    parts.schedule.every(_DAY_S, partial(_in_lane, parts, INTEGRITY_LANE, parts.integrity.look), name="integrity")
    parts.schedule.every(
        _READINGS_EVERY_S, partial(_in_lane, parts, READINGS_LANE, parts.readings.look), name="readings"
    )
    parts.schedule.at(revalidation_moment(parts.settings), parts.revalidation.request, name="revalidate")


def _in_lane(parts: Parts, lane: str, work: Callable[[], None]) -> None:
    parts.lanes.submit(lane, work)


def _sweep_environments(parts: Parts) -> None:
    def sweep() -> None:
        swept = parts.environments.sweep(parts.settings.retention.environments_days * _DAY_S)
        if swept:
            log.info("environments.swept", removed=swept)

    parts.lanes.submit("environments", sweep)


def _first_reconcile(parts: Parts, begun: threading.Event, scout: Scout | None) -> None:
    begun.set()
    with parts.registry.read() as connection:
        before = queries.fact(connection, _STOP)
    reconciled = parts.reconciler.run() if scout is None else _reconcile_behind(scout, parts)
    with parts.registry.write() as tx:
        tx.set_fact(_STOP, "crash")  # until a clean stop says otherwise
        if parts.health.is_stopping:  # which was told already
            return
        tx.emit(
            DaemonStarted(
                version=__version__,
                previous_stop="crash" if before == "crash" else "clean" if before else None,
                reconciled=reconciled,
            ),
            correlation_id=parts.clock.new_id("chg"),
        )
    parts.health.working()
    with parts.registry.read() as connection:
        if queries.all_endpoints(connection):
            parts.courier.warm_up()
    parts.projections.put_markers_right()


def _reconcile_behind(scout: Scout, parts: Parts) -> dict[str, int]:
    """What the scout found need not be looked at once more."""
    survey = scout.survey()
    if survey.at_rest:
        parts.health.working()
    try:
        return parts.reconciler.run(survey)
    finally:
        scout.end()


def _close_open_runs(parts: Parts) -> None:
    """Runs that were under way when the daemon was killed came to nothing; their revisions are tested again."""
    with parts.registry.write() as tx:
        # Something at any rate: a disk that is full is found out while a start can still be refused.
        tx.set_fact(_BEGUN, tx.now)
        for run in queries.unfinished_runs(tx.connection):
            tx.finish_run(
                run.id, status="error", accepted=False, verdict="packd was killed while the tests ran", report=None
            )


def serving(parts: Parts, *, bound: socket.socket | None = None) -> tuple[Server, Front]:
    """What answers, and what it answers with. `bound`: the socket, where it is made already."""
    tail, api = Tail(parts.feed), parts.settings.api

    def make() -> ASGIApp:
        from packd.doors import whole_door  # half of all that a daemon ever imports

        return whole_door(parts, tail)

    front = Front(make, parts.health.ailments)
    return Server(
        front,
        parts.settings.socket_path,
        tail=tail,
        listen=api.listen,
        inherited=inherited(os.environ),
        bound=bound,
    ), front


# --- stopping --------------------------------------------------------------------------------------------------------


def _stop(parts: Parts, server: Server | None, notifier: Notifier) -> None:
    """Each step has a bound, and the supervisor is told of it before: a step is never taken for a daemon that hangs."""
    notifier.stopping("Draining: no new drops are taken")
    notifier.extend(_STEP_S)
    parts.health.stopping()
    parts.lanes.stop(0)  # nothing new begins
    stopping = DaemonStopping(version=__version__)
    trouble = _write_down(parts, lambda tx: tx.emit(stopping, correlation_id=parts.clock.new_id("chg")))
    parts.schedule.stop()
    parts.revalidation.stop()
    parts.probation.stop()
    if server is not None:
        parts.watcher.stop()  # nothing new comes in
    parts.settling.stop()
    parts.installer.close()
    notifier.status("Draining: ending the suites that run")
    notifier.extend(parts.settings.tests.grace_s + _SUITES_END_S)
    parts.executor.close(parts.settings.tests.grace_s)  # running suites end, and are tested again at the next start
    notifier.status("Draining: finishing the deliveries in hand")
    notifier.extend(_LANES_GRACE_S + 2 * _DELIVERY_GRACE_S + _STEP_S)
    clean = parts.lanes.stop(_LANES_GRACE_S)
    parts.dispatcher.stop(_DELIVERY_GRACE_S)  # the delivery in hand finishes; the others wait in the registry
    parts.courier.stop()
    if server is not None:
        server.stop()  # last, so that `packd status` and the feed could tell of all this
    if clean:
        trouble = _write_down(parts, lambda tx: tx.set_fact(_STOP, "clean")) or trouble
    if trouble:
        log.error("daemon.stop_not_written", detail=f"that packd was stopped could not be written down: {trouble}")
    notifier.status(
        "Stopped" if clean else "Stopped; something was still under way and is done again at the next start"
    )
    notifier.barrier()


def _close(database: Database) -> None:
    """The last that is done."""
    try:
        kept = database.close()
    except Exception as failure:
        log.error("database.not_kept", detail=f"what packd knew could not be brought to safety: {failure}")
        return
    if kept is not None:
        log.warning("database.kept", file=str(kept), detail="what packd knew when its database was removed is in there")


def _write_down(parts: Parts, what: Callable[[Writer], object]) -> str:
    """Returns why that was not possible, which is no reason to leave anything running; empty: it is written."""
    try:
        with parts.registry.write() as tx:
            what(tx)
    except Exception as failure:
        return str(failure).partition("\n")[0]
    return ""


def _not_in_use(parts: Parts) -> dict[str, Explanation | None]:
    """The drops whose content is not the one in use, each with why that is."""
    with parts.registry.read() as connection:
        latest = {revision.ref: revision for revision in queries.latest_revisions(connection)}
        drops = [drop for drop in queries.all_drops(connection) if drop.gone_at_s is None]
        return {
            drop.name: explain_drop(connection, drop)
            for drop in drops
            if drop.problems or drop.ref not in latest or latest[drop.ref].phase != Phase.ACTIVE
        }
