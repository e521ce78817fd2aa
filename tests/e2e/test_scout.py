"""A daemon is ready before it has loaded, when all is as it was; and nothing that happens meanwhile is lost."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from daemon import Daemon
from packs import write_pack

from tests.processes import is_alive
from tests.waiting import wait_until


class Early(Daemon):
    """Counts as started as soon as its socket takes callers."""

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the daemon ended:\n{self.tail()}"
        with socket.socket(socket.AF_UNIX) as caller:
            return caller.connect_ex(str(self.socket)) == 0

    def asked(self, path: str = "/readyz") -> tuple[int, bool]:
        """The status of an answer, and whether it came before the daemon had loaded."""
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(60)
        connection.sock.connect(str(self.socket))
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            return answer.status, answer.headers["connection"] == "close"
        finally:
            connection.close()

    def scout(self) -> int | None:
        """Its process, while there is one."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for child in children:
            with suppress(OSError):
                if Path(f"/proc/{child}/comm").read_text() == "packd-scout\n":
                    return int(child)
        return None

    def has_begun(self) -> bool:
        return any(line["event"] == "daemon.started" for line in self.logged())


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Early]:
    """Two packs are in use, and it has ended cleanly."""
    daemon = Early(tmp_path)
    write_pack(daemon.packs / "one", "one")
    write_pack(daemon.packs / "two", "two")
    assert daemon.once() == 0, daemon.tail()
    daemon.log.unlink()
    yield daemon
    if daemon.process is not None and daemon.process.poll() is None:
        daemon.kill()


def started(daemon: Early) -> dict[str, Any]:
    daemon.wait_until(daemon.has_begun, "daemon.started")
    return next(line for line in daemon.logged() if line["event"] == "daemon.started")


def test_it_is_ready_before_it_has_loaded_and_stays_so(daemon: Early) -> None:
    """From the first answer on every one is yes, whoever gives it; then the scout is gone."""
    daemon.start()
    answers = [daemon.asked()]
    assert answers == [(200, True)], daemon.tail()
    while not daemon.has_begun():
        answers.append(daemon.asked())
    answers.append(daemon.asked())
    assert {status for status, _ in answers} == {200}
    assert answers[-1] == (200, False)
    assert started(daemon)["reconciled"] == {"unchanged": 2}
    daemon.wait_until(lambda: daemon.scout() is None, "the scout to be gone")
    assert daemon.stop() == 0


def test_what_is_dropped_and_asked_meanwhile_is_not_lost(daemon: Early) -> None:
    """Between readiness and the loaded daemon: a new pack, a changed one, one that is taken away, a question."""
    daemon.start()
    assert daemon.asked() == (200, True)
    statuses: list[tuple[int, bool]] = []
    asking = threading.Thread(target=lambda: statuses.append(daemon.asked("/api/v1/status")))
    asking.start()
    write_pack(daemon.packs.parent / "aside", "new")
    (daemon.packs.parent / "aside").rename(daemon.packs / "new")
    (daemon.packs / "one" / "pack.yaml").write_text(
        (daemon.packs / "one" / "pack.yaml").read_text().replace("1.0.0", "2.0.0")
    )
    (daemon.packs / "two").rename(daemon.packs.parent / "two")
    assert not daemon.has_begun()
    daemon.wait_active("new", "1.0.0")
    daemon.wait_active("one", "2.0.0")
    daemon.wait_until(lambda: not os.path.lexists(daemon.state / "active" / "two"), "two to be gone")
    asking.join()
    assert statuses == [(200, False)]
    assert daemon.stop() == 0


def test_every_caller_is_answered_once_whoever_is_at_the_door(daemon: Early) -> None:
    """From the first moment on, until the daemon has taken over: nobody is cut off, and nobody hears a no."""
    daemon.start()
    with ThreadPoolExecutor(40) as pool:
        calls = []
        while not daemon.has_begun() and len(calls) < 400:
            calls += [pool.submit(daemon.asked, path) for path in ("/readyz", "/api/v1/status")]
            time.sleep(0.04)  # so that they are spread over the start
        assert {call.result()[0] for call in calls} == {200}
    assert daemon.stop() == 0


@pytest.mark.parametrize("what", ["changed", "new", "gone", "killed before", "link", "isolation"])
def test_where_anything_is_to_be_done_readiness_waits_for_the_daemon(daemon: Early, what: str) -> None:
    """Or where something can still go wrong: the first yes is the daemon's own."""
    if what == "changed":
        (daemon.packs / "one" / "more").touch()
    elif what == "new":
        write_pack(daemon.packs / "three", "three")
    elif what == "gone":
        (daemon.packs / "two").rename(daemon.packs.parent / "two")
    elif what == "killed before":
        daemon.start()
        started(daemon)
        daemon.kill()
        daemon.log.unlink()
    elif what == "link":
        (daemon.state / "active" / "two").unlink()
    elif what == "isolation":
        with daemon._config.open("a") as config:
            config.write("tests: {isolation: basic}\n")
    daemon.start()
    first_yes = wait_until(lambda: (answer := daemon.asked())[0] != 503 and answer, "it to be ready")
    assert first_yes == (200, False)
    started(daemon)
    assert os.path.lexists(daemon.state / "active" / "two") or what == "gone"
    assert daemon.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_before_it_has_loaded_is_a_clean_one(daemon: Early, number: int) -> None:
    """Whoever heard that it is ready may stop it: it ends by itself, with nothing left behind."""
    daemon.start()
    assert daemon.asked() == (200, True)
    assert daemon.process is not None
    daemon.process.send_signal(number)
    assert daemon.process.wait(60) == 0, daemon.tail()
    assert not os.path.lexists(daemon.socket)
    daemon.log.unlink()
    daemon.start()
    assert daemon.asked() == (200, True)
    assert started(daemon)["previous_stop"] == "clean"
    assert daemon.stop() == 0


def test_a_daemon_that_is_killed_takes_its_scout_with_it(daemon: Early) -> None:
    """And the next one starts at once."""
    daemon.start()
    daemon.wait_until(lambda: daemon.scout() is not None, "the scout")
    scout = daemon.scout()
    assert scout is not None
    daemon.kill()
    daemon.wait_until(lambda: not is_alive(scout), "the scout to be gone")
    daemon.start()
    started(daemon)
    assert daemon.stop() == 0


def test_a_scout_that_is_killed_is_not_missed(daemon: Early) -> None:
    """The daemon looks for itself, answers everybody, and sees what changes."""
    daemon.start()
    daemon.wait_until(lambda: daemon.scout() is not None, "the scout")
    scout = daemon.scout()
    assert scout is not None
    os.kill(scout, signal.SIGKILL)
    assert started(daemon)["reconciled"] == {"unchanged": 2}
    assert daemon.asked() == (200, False)
    write_pack(daemon.packs / "three", "three")
    daemon.wait_active("three", "1.0.0")
    assert daemon.stop() == 0


def test_other_rules_than_the_usual_are_followed(daemon: Early) -> None:
    """The scout sets out before the settings are read, and looks once more where they say something else."""
    with daemon._config.open("a") as config:
        config.write("limits: {files: 1000}\n")
    assert daemon.once() == 0
    daemon.log.unlink()
    daemon.start()
    assert daemon.asked() == (200, True)
    assert started(daemon)["reconciled"] == {"unchanged": 2}
    assert daemon.stop() == 0
