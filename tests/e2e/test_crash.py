"""kill -9 at any moment: the next start finishes what was begun, and nobody can tell from the events."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from daemon import Daemon
from packs import script, write_pack
from receiver import Receiver

from tests.processes import long_sleep, running

CRASHING = Path(__file__).with_name("crashing.py")
TRANSACTIONS = 14  # more than a start and two packs take
CERTAIN = 8  # so many it takes at least: what arrived is written down together


def crash(daemon: Daemon, moment: str, number: int) -> int:
    """Run a daemon that kills itself at that transaction; returns how it ended (it may run out of transactions)."""
    command = [
        *[sys.executable, str(CRASHING), moment, str(number), "run", str(daemon.packs)],
        *["--config", str(daemon._config), "--state-dir", str(daemon.state), "--once"],
    ]
    with daemon.log.open("ab") as log:
        return subprocess.run(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, timeout=120, check=False
        ).returncode


def check(daemon: Daemon, receiver: Receiver) -> None:
    """What an independent reader of the registry and of the receiver's log finds."""
    with sqlite3.connect(daemon.state / "packd.db") as database:
        events = database.execute("SELECT seq, id, type, subject FROM events ORDER BY seq").fetchall()
        open_runs = database.execute("SELECT count(*) FROM runs WHERE finished_at IS NULL").fetchone()[0]
        deliveries = database.execute("SELECT event_id, endpoint_seq FROM deliveries ORDER BY endpoint_seq").fetchall()
    database.close()
    assert [seq for seq, *_ in events] == list(range(1, len(events) + 1)), "the events have a gap"
    assert open_runs == 0
    assert [number for _, number in deliveries] == list(range(1, len(deliveries) + 1))
    came = defaultdict(set)
    for one in receiver.received:
        came[one.webhook_id].add(one.body)
    assert set(came) == {event_id for event_id, _ in deliveries}, "told is not what was committed"
    assert all(len(bodies) == 1 for bodies in came.values()), "a duplicate with other bytes"
    for subject in {subject for *_, subject in events}:
        firsts = list(dict.fromkeys(one.event["seq"] for one in receiver.received if one.event["subject"] == subject))
        assert firsts == sorted(firsts), f"{subject} was told out of order"
    assert not list((daemon.state / "work").iterdir())
    assert not list((daemon.state / "store").glob("tmp-*"))
    assert not survivors(daemon)


def survivors(daemon: Daemon) -> set[str]:
    """Processes that carry a run of this daemon in their environment, or stand ready to begin one."""
    mark, found = str(daemon.state / "work").encode(), set()
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in environ.read_bytes():
                found.add(environ.parent.name)
        except OSError:
            continue
    return found


def named(name: str, parent: int) -> list[int]:
    """The children of `parent` with this name."""
    listed = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in listed if Path(f"/proc/{pid}/comm").read_text().strip() == name]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", range(1, TRANSACTIONS + 1))
def test_a_crash_at_every_transaction(moment: str, number: int, daemon: Daemon, receiver: Receiver) -> None:
    """Whatever had been committed stays, whatever had not is done again, each exactly once."""
    write_pack(daemon.packs / "good", "good")
    write_pack(daemon.packs / "bad", "bad", test="exit 1")
    ended = crash(daemon, moment, number)
    assert ended == -signal.SIGKILL or number > CERTAIN
    assert daemon.once() == 1
    told = Counter((one.type, one.ref) for one in {one.webhook_id: one for one in receiver.received}.values())
    assert told["pack.registered", "good"] == 1
    assert told["pack.rolled_back", "bad"] == 1
    assert told["pack.discovered", "good"] == 1
    assert (daemon.state / "active" / "good" / "pack.yaml").exists()
    assert not (daemon.state / "active" / "bad").exists()
    check(daemon, receiver)


def test_a_killed_daemon_leaves_no_suite_running(daemon: Daemon, receiver: Receiver, tmp_path: Path) -> None:
    """Also not what the suite started in a session of its own; the next start tests the revision again."""
    daemon.start()
    apart, first = long_sleep(), long_sleep()
    pack = write_pack(tmp_path / "slow", "slow", test=f"setsid {apart} & {first}")
    pack.rename(daemon.packs / "slow")
    daemon.wait_until(lambda: running(apart) and running(first), "the suite to run")
    begun = survivors(daemon)
    assert begun
    daemon.kill()
    script(daemon.packs / "slow" / "tests" / "run_tests.sh", "exit 0")
    daemon.start()
    receiver.wait_for("pack.registered", "slow")
    daemon.wait_until(lambda: not begun & survivors(daemon), "the survivors to be gone")
    assert not running(apart)


def test_a_suite_runs_outside_of_the_daemon(daemon: Daemon, receiver: Receiver, tmp_path: Path) -> None:
    """The process that carries out its run may be killed: the daemon says so and tries again, and the next run finds
    another one."""
    daemon.start()
    suite = long_sleep()
    pack = write_pack(tmp_path / "slow", "slow", test=suite)
    pack.rename(daemon.packs / "slow")
    daemon.wait_until(lambda: running(suite), "the suite to run")
    assert daemon.process is not None
    begun = survivors(daemon)
    (maker,) = named("packd-crew", daemon.process.pid)
    (carrier,) = named("packd-testrun", maker)
    os.kill(carrier, signal.SIGKILL)
    failed = receiver.wait_for("pack.test_failed", "slow")
    assert failed.event["data"]["reason"] == "crash"
    daemon.wait_until(lambda: not begun & survivors(daemon), "the suite to be gone")
    told = daemon.cli("why", "slow").stdout
    assert "ended from outside" in told
    assert "tries again by itself" in told
    script(daemon.packs / "slow" / "tests" / "run_tests.sh", "exit 0")
    receiver.wait_for("pack.registered", "slow")


def test_stopping_takes_no_longer_than_ten_seconds(daemon: Daemon, receiver: Receiver, tmp_path: Path) -> None:
    """A suite that ignores the request to end is ended; the daemon leaves with 0 and its revision waits."""
    daemon.start()
    up = long_sleep()
    pack = write_pack(tmp_path / "slow", "slow", test=f"trap '' TERM; while :; do {up}; done")
    pack.rename(daemon.packs / "slow")
    daemon.wait_until(lambda: running(up), "the suite to run")
    began = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - began < 10
    assert not survivors(daemon)
    with sqlite3.connect(daemon.state / "packd.db") as database:
        assert database.execute("SELECT phase FROM revisions").fetchall() == [("validated",)]
        stopping = database.execute("SELECT body FROM events ORDER BY seq DESC LIMIT 1").fetchone()[0]
    database.close()
    assert json.loads(stopping)["type"] == "daemon.stopping"
    assert (daemon.state / "packd.lock").exists()


def test_a_second_daemon_on_the_same_state_is_refused(daemon: Daemon, receiver: Receiver) -> None:
    """It says which process has it, and the first goes on undisturbed."""
    daemon.start()
    assert daemon.process is not None
    assert daemon.once() == 1
    assert f"pid {daemon.process.pid}" in daemon.tail()
    assert daemon.answers()
