"""Once packd stops, nothing new begins, and nothing is told in the wrong order."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

from packd import daemon
from packd.domain.failures import Code, Failure
from packd.domain.lifecycle import Phase
from packd.domain.problems import Problem
from packd.flow.occasion import Occasion
from packd.flow.register import Registration
from packd.registry import queries
from packd.registry.full_disk import DiskFull
from packd.service.notify import Notifier
from packd.snapshot.store import Refused
from tests.unit.flow_ground import MANIFEST, latest, made_parts, told, written
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packd.bootstrap import Parts


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with made_parts(tmp_path) as made:
        written(made, "core", MANIFEST.format(version="1.0.0", needs=""))
        yield made


def types(parts: Parts) -> list[str]:
    return [event.type for event in told(parts)]


def test_a_start_that_is_overtaken_by_the_stop_is_not_told(parts: Parts) -> None:
    """Nothing is told behind `daemon.stopping`."""
    daemon._stop(parts, None, Notifier({}))
    daemon._first_reconcile(parts, threading.Event(), None)
    assert types(parts) == ["daemon.stopping"]
    assert parts.health.is_stopping


def test_what_waits_in_a_lane_is_left_to_the_next_start(parts: Parts) -> None:
    """Also while a suite that runs still has time to end."""
    begun, over, done = threading.Event(), threading.Event(), []
    parts.lanes.submit("pack:core", lambda: (begun.set(), over.wait(30)))
    parts.lanes.submit("pack:core", lambda: done.append("core"))
    assert begun.wait(10)
    stopping = threading.Thread(target=daemon._stop, args=(parts, None, Notifier({})))
    stopping.start()
    wait_until(lambda: "daemon.stopping" in types(parts))
    over.set()
    stopping.join(30)
    assert done == []


@pytest.mark.parametrize("content", ["good", "refused", "gone"])
def test_nothing_is_told_of_a_drop_that_was_in_hand(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    """`daemon.stopping` is the end, also where a large drop was being read: the next start takes it."""
    if content == "gone":
        parts.intake.take("core", Occasion(first_change_at_s=0.0))
        assert parts.lanes.wait_idle(30)
        shutil.rmtree(parts.settings.packs_dir / "core")
        work = partial(parts.intake.remove_soon, "core")
    else:
        work = partial(parts.intake.take_soon, "core", Occasion(first_change_at_s=0.0))
    before = types(parts)
    reading, go_on = threading.Event(), threading.Event()
    take, withdraw = parts.store.take, parts.projections.withdraw

    def slowly(*arguments: object) -> object:
        reading.set()
        assert go_on.wait(30)
        if content == "gone":
            return withdraw(*arguments)  # type: ignore[arg-type, func-returns-value]
        refused = Refused(problems=(Problem(code="x", message="no"),), fingerprint=None)
        return take(*arguments) if content == "good" else refused  # type: ignore[arg-type]

    monkeypatch.setattr(parts.runs, "has_room", lambda _: False)  # for a run, which would not begin any more
    monkeypatch.setattr(parts.store, "take", slowly)
    monkeypatch.setattr(parts.projections, "withdraw", slowly)
    work()
    assert reading.wait(10)
    stopping = threading.Thread(target=daemon._stop, args=(parts, None, Notifier({})))
    stopping.start()
    wait_until(lambda: "daemon.stopping" in types(parts))
    go_on.set()
    stopping.join(30)
    assert types(parts) == [*before, "daemon.stopping"]


def test_nothing_is_told_of_what_was_being_read_for_somebody(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever registers it is told to try again, and there is nothing in the way of that."""
    take = parts.store.take

    def stopped_meanwhile(*arguments: object) -> object:
        taken = take(*arguments)  # type: ignore[arg-type]
        daemon._stop(parts, None, Notifier({}))
        return taken

    monkeypatch.setattr(daemon, "_LANES_GRACE_S", 0.0)  # this lane does not end before that
    monkeypatch.setattr(parts.store, "take", stopped_meanwhile)
    with pytest.raises(Failure, match="try again") as refused:
        parts.registrar.register(Registration(path=parts.settings.packs_dir / "core", actor="me"))
    assert refused.value.code == Code.UNAVAILABLE
    assert types(parts) == ["daemon.stopping"]
    with parts.registry.read() as connection:
        assert queries.pack(connection, "core") is None


def test_what_waits_for_its_turn_when_packd_stops_is_not_to_be_registered_again(parts: Parts) -> None:
    """It is a revision by then, and goes on by itself at the next start."""
    wish = Registration(path=parts.settings.packs_dir / "core", actor="me")
    with pytest.raises(Failure, match="core#1 goes on when it is back") as refused:
        parts.registrar.register(wish, on_revision=lambda _: parts.lanes.stop(0))
    assert refused.value.code == Code.UNAVAILABLE
    assert latest(parts).phase == Phase.VALIDATED


def test_another_trouble_is_not_called_stopping(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever registers a pack hears what is wrong, and the way out."""

    def no_room(_: str) -> None:
        raise DiskFull("packd.db")

    monkeypatch.setattr(parts.pipeline, "carry", no_room)
    with pytest.raises(Failure, match=r"packd.db is full: make room"):
        parts.registrar.register(Registration(path=parts.settings.packs_dir / "core", actor="me"))


def test_a_run_that_can_not_begin_is_not_told_to_have_begun(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The revision stays where it is, and is tested at the next start."""
    with monkeypatch.context() as patched:
        patched.setattr(parts.runs, "has_room", lambda _: False)
        patched.setattr(parts.lanes, "submit", lambda *_, **__: True)
        parts.intake.take("core", Occasion(first_change_at_s=0.0))
    parts.executor.close(0)
    before = types(parts)
    with pytest.raises(Failure) as refused:
        parts.pipeline.carry("core")
    assert refused.value.code == Code.UNAVAILABLE
    assert types(parts) == before
    assert latest(parts).phase == Phase.VALIDATED
    with parts.registry.read() as connection:
        assert queries.unfinished_runs(connection) == []


def test_once_does_not_end_while_a_drop_is_to_settle_once_more(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which a lane may ask for last, when it was looked already whether anything is to settle. Nobody looks all the time."""
    depth, waiting, looks = parts.lanes.depth, parts.settling.waiting, []

    def just_over() -> int:
        if len(looks) == 1:
            parts.settling.touched("core")
        return depth()

    monkeypatch.setattr(parts.lanes, "depth", just_over)
    monkeypatch.setattr(parts.settling, "waiting", lambda: (looks.append("waiting"), waiting())[1])
    parts.settling.follow(quiet_s=1.0, longest_wait_s=5.0, remove_grace_s=0.0)
    parts.settling.start(take=parts.intake.take_soon, remove=parts.intake.remove_soon)
    daemon._come_to_rest(parts)
    parts.settling.stop()
    assert latest(parts).phase == Phase.ACTIVE
    assert len(looks) < 1000


_LEAVE = """
import atexit, os, sys, threading
from packd import __main__

def command(prog_name):
    print("all is said", end="")
    if "thread" in sys.argv:
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    sys.exit(3)

atexit.register(os._exit, 6)  # taking the interpreter down goes wrong
__main__.cli = command
__main__.main()
"""


@pytest.mark.parametrize(("left", "status"), [("thread", 3), ("nobody", 6)])
def test_a_thread_that_is_left_has_no_say_in_the_exit_status(left: str, status: int) -> None:
    """The interpreter is not taken down around it: where it is in compiled code then, it can abort the process."""
    buffered = os.environ | {"PYTHONUNBUFFERED": ""}
    command = [sys.executable, "-c", _LEAVE, left]
    done = subprocess.run(command, env=buffered, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (status, "all is said" if left == "thread" else "")
