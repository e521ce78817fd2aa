"""The pulses of the parts: what a dead or stuck one looks like from outside."""

from __future__ import annotations

import errno
import http.client
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from packd.attending import Attendant, ClockStep
from packd.bootstrap import Parts, build
from packd.config import load
from packd.daemon import serving
from packd.flow.clock import Clock
from packd.flow.settling import Settling
from packd.flow.space import Space
from packd.flow.workers import Lanes
from packd.registry import outbox
from packd.watch.settle import Settler
from tests.unit.registry_ground import an_endpoint


@pytest.fixture
def lanes() -> Iterator[Lanes]:
    lanes = Lanes(2)
    yield lanes
    lanes.stop(5)


def test_idle_lanes_are_well(lanes: Lanes) -> None:
    """Nothing to do is no reason to worry, however long."""
    lanes.submit("a", lambda: None)
    assert lanes.wait_idle(10)
    assert lanes.pulse().waiting_s == 0.0


def test_a_job_that_hangs_is_seen(lanes: Lanes) -> None:
    """While a job runs and nothing else moves, time counts; a run of tests, which has its own deadline, does not."""
    begun, go = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        go.wait(30)

    lanes.submit("a", hang)
    assert begun.wait(10)
    assert lanes.pulse().waiting_s > 0.0
    assert lanes.pulse(resting=1).waiting_s == 0.0
    go.set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_settle_thread_is_seen() -> None:
    """A callback that ends the thread leaves drops unsettled for ever: the pulse says so."""
    settling = Settling(Settler(0.0, 1.0), remove_grace_s=0, clock=Clock())
    ended = threading.Event()

    def die(*_: object) -> None:
        ended.set()
        raise SystemExit  # ends a thread without a word

    settling.start(take=die, remove=die)
    assert settling.pulse().alive
    settling.touched("x")
    assert ended.wait(10)
    settling._thread.join(10)
    assert not settling.pulse().alive


def test_a_clock_that_is_set_is_noticed() -> None:
    """A step is told until it was followed; adjustments of less than five seconds are not steps."""
    now = {"wall": 1000.0, "monotonic": 10.0}
    step = ClockStep(wall=lambda: now["wall"], monotonic=lambda: now["monotonic"])
    now |= {"wall": 1064.0, "monotonic": 70.0}
    assert step.step_s() == 0.0
    now["wall"] -= 3600
    assert step.step_s() == -3596.0
    assert step.step_s() == -3596.0
    step.followed()
    assert step.step_s() == 0.0


class Supervisor:
    """Stands for systemd: counts how often it was told that all is well."""

    listening, watchdog_s = False, 30.0

    def __init__(self) -> None:
        self.told = 0

    def alive(self) -> None:
        self.told += 1


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    """Of a daemon that was built and not started: every thread of it is missing."""
    parts = build(load(None, {}, {"packs_dir": tmp_path / "packs", "state_dir": made(tmp_path / "state")}))
    yield parts
    parts.executor.close(0)
    parts.lanes.stop(5)
    parts.database.close()


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_every_door_and_the_watchdog_go_by_one_set_of_checks(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """`/livez`, `/readyz`, `/healthz`, the status and the watchdog say the same of the same moment."""
    supervisor = Supervisor()
    attendant = Attendant(
        parts,
        signals=None,  # type: ignore[arg-type]
        notifier=supervisor,  # type: ignore[arg-type]
        reloader=SimpleNamespace(watches=False),  # type: ignore[arg-type]
    )
    server, _ = serving(parts)
    server.start()
    try:
        ask = asking(parts.settings.socket_path)
        dying = [ailment.sentence for ailment in parts.health.dying()]
        every = [ailment.to_dict() for ailment in parts.health.ailments()]
        assert dying
        assert len(every) > len(dying)
        assert ask("/livez") == (503, dying)
        assert ask("/readyz") == (503, [one["reason"] for one in every if one["grade"] in ("dying", "unready")])
        assert ask("/healthz", lambda body: body["data"]["reasons"]) == (503, every)
        assert ask("/api/v1/status", lambda body: body["data"]["health"]) == (200, every)
        attendant._look_after_health()
        assert supervisor.told == 0
        monkeypatch.setattr(parts.health, "_parts", [])
        parts.health.working()
        assert ask("/livez", lambda body: body["data"]["status"]) == (200, "alive")
        assert ask("/readyz", lambda body: body["data"]["warnings"]) == (200, [])
        assert ask("/healthz", lambda body: body["data"]["status"]) == (200, "ok")
        attendant._look_after_health()
        assert supervisor.told == 1
    finally:
        server.stop()


def asking(path: Path) -> Callable[..., tuple[int, Any]]:
    def ask(where: str, piece: Callable[[Any], Any] = lambda body: body["reasons"]) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(path))
        connection.request("GET", where)
        response = connection.getresponse()
        body = json.loads(response.read())
        connection.close()
        return response.status, piece(body)

    return ask


def test_what_is_asked_of_the_registry(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disabled endpoint is a warning, and so is a clock that nobody keeps right, if somebody is told of events."""
    monkeypatch.setattr(parts.health, "_parts", [])
    parts.health.working()
    monkeypatch.setattr(parts.clock_watch, "_last", False)
    assert parts.health.ailments() == ()
    with parts.registry.write() as tx:
        outbox.save_endpoint(tx.connection, an_endpoint("ci"))
    assert [(one.part, one.grade) for one in parts.health.ailments()] == [("clock", "warning")]
    with parts.registry.write() as tx:
        outbox.set_endpoint_state(tx.connection, ["ci"], state="disabled", reason="answered 410")
    (warned,) = parts.health.ailments()
    assert (warned.part, warned.grade) == ("webhook", "warning")
    assert "(answered 410); `packd webhook enable ci`" in warned.sentence


def test_the_watch_says_what_is_wrong_until_it_is_over(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Degraded, in the watcher's own sentence."""
    monkeypatch.setattr(parts.health, "_parts", [])
    parts.health.working()
    parts.keeper.lost_root("/srv/packs is not there: put it back")
    (found,) = parts.health.ailments()
    assert (found.part, found.grade, found.sentence) == ("watch", "degraded", "/srv/packs is not there: put it back")
    parts.keeper.found_root()
    assert parts.health.ailments() == ()


def test_a_disk_that_can_not_even_be_asked_is_an_ailment(tmp_path: Path) -> None:
    """Who asks what is wrong gets that for an answer, and not that packd broke; what writes there finds out for itself."""

    def failing(_: Path) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    nobody: Any = None
    space = Space(tmp_path, floor_mb=500, keeper=nobody, free=failing)
    (ailment,) = space.ailments()
    assert (ailment.part, ailment.grade) == ("disk", "unready")
    assert f"the disk with {tmp_path} fails (Input/output error)" in ailment.sentence
    assert space.enough()
    assert space.shortage() is None
