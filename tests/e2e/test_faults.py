"""What goes wrong around a daemon: each time it says what it is, loses nothing, and recovers when the cause is gone."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon import Daemon
from packs import write_pack
from receiver import SECRET, Receiver

from packd.client import Client
from packd.domain.failures import Code, Failure

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: mounting needs root")


def _start(daemon: Daemon, *prefix: str) -> None:
    """The daemon, started by another program."""
    with daemon.log.open("ab") as log:
        daemon.process = subprocess.Popen(
            [*prefix, *_command(daemon)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    daemon.wait_until(daemon.answers, "the daemon to answer")


def _command(daemon: Daemon) -> list[str]:
    return [
        sys.executable, "-m", "packd", "run", str(daemon.packs),
        "--config", str(daemon._config), "--state-dir", str(daemon.state),
    ]  # fmt: skip


def _complained(daemon: Daemon, *pieces: str) -> bool:
    """Is there a warning or worse with one of these in it?"""
    bad = [str(line) for line in daemon.logged() if line["level"] not in ("debug", "info")]
    return any(piece in line for piece in pieces for line in bad)


def _said(daemon: Daemon, *events: str) -> list[dict[str, Any]]:
    return [line for line in daemon.logged() if line["event"] in events]


@pytest.fixture
def watched(request: pytest.FixtureRequest, tmp_path: Path, receiver: Receiver) -> Iterator[Daemon]:
    """Looks at everything every second, as recovery without a hint needs. A parameter is more of its settings."""
    daemon = Daemon(
        tmp_path,
        webhooks=[{"name": "test", "url": receiver.url, "secret": SECRET}],
        watch={"quiet_ms": 100, "remove_grace_s": 0.5, "reconcile_every_s": 1},
        retention={"min_free_mb": 0},
        **getattr(request, "param", {}),
    )
    yield daemon
    if daemon.process is not None and daemon.process.poll() is None:
        daemon.kill()


@pytest.fixture
def small_state(watched: Daemon) -> Iterator[Path]:
    """A state directory on a file system of its own, of 12 MiB."""
    watched.state.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "packd-test", str(watched.state)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"NOT TESTED: nothing can be mounted here: {done.stderr.decode().strip()}")
    yield watched.state
    if watched.process is not None and watched.process.poll() is None:
        watched.kill()
    subprocess.run(["umount", "-l", str(watched.state)], check=True)


@needs_root
@pytest.mark.parametrize(
    ("free_kb", "watched"),
    # Room for the content, and not for a run's copy of it, which lies on that disk without a sandbox.
    [*((free_kb, {}) for free_kb in (0, 8, 120, 650)), (1000, {"tests": {"isolation": "basic"}})],
    indirect=["watched"],
)
def test_disk_full(watched: Daemon, small_state: Path, receiver: Receiver, free_kb: int) -> None:
    """Whichever write finds no room (content, registry, a run's folder), the drop is not lost and what is in use stays;
    room brings it in, and everybody is told once."""
    _start(watched)
    write_pack(watched.packs / "before", "before")
    watched.wait_active("before", "1.0.0")
    receiver.wait_for("pack.registered", "before")
    fillers = [small_state / name for name in ("filler", "rest")]
    fillers[1].write_bytes(bytes(free_kb << 10))
    _fill(fillers[0])
    fillers[1].unlink()
    later = write_pack(watched.packs.parent / "later", "later")
    (later / "large").write_bytes(bytes(600 << 10))
    later.rename(watched.packs / "later")
    watched.wait_until(lambda: _complained(watched, "No space left", "is full"), "what is wrong")
    assert watched.process is not None
    assert watched.process.poll() is None
    assert (small_state / "active" / "before" / "pack.yaml").exists()
    fillers[0].unlink()
    watched.wait_active("later", "1.0.0")
    receiver.wait_for("pack.registered", "later")
    registered = [line["pack"] for line in _said(watched, "pack.registered")]
    assert registered == ["before", "later"]


def _fill(file: Path) -> None:
    """Until nothing more goes onto the small file system that it is on."""
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as stream:
        while True:  # ends at 12 MiB
            stream.write(bytes(1 << 12))


@needs_root
def test_disk_full_commands(watched: Daemon, small_state: Path) -> None:
    """What can't be written down for want of room is refused with that reason, and possible again when there is room."""
    _start(watched)
    write_pack(watched.packs / "hello", "hello")
    watched.wait_active("hello", "1.0.0")
    _fill(small_state / "filler")
    for command in ("test", "remove"):
        refused = watched.cli(command, "hello")
        assert refused.returncode == 3
        assert "packd.db is full: make room on it" in " ".join(refused.stderr.split())
    with pytest.raises(Failure, match="is full: make room") as raised:
        Client(watched.socket).post("/packs/hello/test")
    assert raised.value.code == Code.UNAVAILABLE
    assert "Traceback" not in watched.log.read_text()
    (small_state / "filler").unlink()
    assert watched.cli("test", "hello").returncode == 0


@needs_root
def test_disk_full_stop(watched: Daemon, small_state: Path) -> None:
    """A stop that can't be written down is said in one line and carried out as any other; what was tested is tested again."""
    _start(watched)
    write_pack(watched.packs / "slow", "slow", test="exec sleep 300")
    watched.wait_until(lambda: bool(_said(watched, "pack.test_started")), "the tests to begin")
    _fill(small_state / "filler")
    began = time.monotonic()
    assert watched.stop() == 0
    assert time.monotonic() - began < 10
    assert not watched.socket.exists()
    (line,) = _said(watched, "daemon.stop_not_written")
    assert line["detail"].endswith("packd.db is full: make room on it")
    assert "Traceback" not in watched.log.read_text()
    (small_state / "filler").unlink()
    _start(watched)
    watched.wait_until(lambda: len(_said(watched, "pack.test_started")) == 2, "the tests to begin again")


@needs_root
@pytest.mark.parametrize("before", ["nothing", "stopped", "killed"])
def test_disk_full_start(watched: Daemon, small_state: Path, before: str) -> None:
    """Without room for a first line in the database packd does not start, and says in one sentence what to do."""
    if before != "nothing":
        _start(watched)
        write_pack(watched.packs / "hello", "hello")
        watched.wait_active("hello", "1.0.0")
        watched.stop() if before == "stopped" else watched.kill()
    _fill(small_state / "filler")
    refused = subprocess.run(_command(watched), capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 2
    said = " ".join(line for line in refused.stderr.splitlines() if not line.startswith("{"))
    assert re.fullmatch("packd: can't start: [^:]* is full: make room on it", said)
    (small_state / "filler").unlink()
    _start(watched)


@needs_root
@pytest.mark.parametrize("part", ["store", "."])
def test_read_only_state(watched: Daemon, small_state: Path, receiver: Receiver, part: str) -> None:
    """A state directory that became read-only is named; writable again, everything that came meanwhile is taken."""
    _start(watched)
    write_pack(watched.packs / "before", "before")
    watched.wait_active("before", "1.0.0")
    # As a disk with errors becomes. What the daemon has open already, the database, goes on being written.
    folder = small_state / part
    subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        write_pack(watched.packs / "later", "later")
        watched.wait_until(lambda: bool(_said(watched, "store.failed")), "what is wrong")
        assert "read-only" in _said(watched, "store.failed")[0]["error"].lower()
        assert watched.cli("show", "before").returncode == 0
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
    watched.wait_active("later", "1.0.0")
    receiver.wait_for("pack.registered", "later")


def test_database_locked(watched: Daemon) -> None:
    """While somebody else holds the database, packd waits, then says so, and takes it up again by itself."""
    _start(watched)
    write_pack(watched.packs / "before", "before")
    watched.wait_active("before", "1.0.0")
    other = sqlite3.connect(watched.state / "packd.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    write_pack(watched.packs / "later", "later")
    watched.wait_until(lambda: _complained(watched, "locked"), "what is wrong")
    other.execute("ROLLBACK")
    other.close()
    watched.wait_active("later", "1.0.0")


def test_store_file_corrupted(watched: Daemon) -> None:
    """A damaged snapshot is found when it is read, named, and not given to anybody as if it were whole."""
    _start(watched)
    write_pack(watched.packs / "hello", "hello")
    watched.wait_active("hello", "1.0.0")
    manifest = (watched.state / "active" / "hello" / "pack.yaml").resolve()
    manifest.chmod(0o644)
    manifest.write_bytes(b"\0" * 10)
    shutil.rmtree(watched.packs / "hello")
    write_pack(watched.packs / "hello", "hello", "2.0.0")  # so that the damaged content lies nowhere else
    watched.wait_active("hello", "2.0.0")
    back = watched.cli("rollback", "hello")
    assert back.returncode == 1
    assert "the content of hello#1 was changed in the store" in back.stderr
    watched.wait_active("hello", "2.0.0")
    client = Client(watched.socket)
    (drift,) = client.post("/verify")["data"]["drifts"]
    assert (drift["ref"], drift["revision"], drift["repaired"]) == ("hello", 1, False)
    assert "can't be put back before" in _said(watched, "pack.drifted")[0]["detail"]
    shutil.rmtree(watched.packs / "hello")
    write_pack(watched.packs / "hello", "hello")  # the cause is gone: the content lies there once more
    watched.wait_active("hello", "1.0.0")
    assert client.post("/verify")["data"]["drifts"] == []
    assert watched.cli("rollback", "hello").returncode == 0
    assert watched.cli("rollback", "hello", "--to", "1").returncode == 0


def test_the_tree_in_use_corrupted(watched: Daemon) -> None:
    """Damage to what is in use is told by an event with what to do, and is gone with a roll-back to what is whole."""
    _start(watched)
    for version in ("1.0.0", "2.0.0"):
        write_pack(watched.packs / "hello", "hello", version)
        watched.wait_active("hello", version)
    tree = (watched.state / "active" / "hello").resolve()
    write_pack(watched.packs / "hello", "hello", "3.0.0", test="exit 1")  # so that the content lies nowhere else
    watched.wait_until(lambda: bool(_said(watched, "pack.rolled_back")), "the refusal")
    (tree / "pack.yaml").chmod(0o644)
    (tree / "pack.yaml").write_bytes(b"")
    client = Client(watched.socket)
    assert [one["revision"] for one in client.post("/verify")["data"]["drifts"]] == [2]
    assert "drop it there again, or roll back" in _said(watched, "pack.drifted")[0]["detail"]
    assert watched.cli("rollback", "hello").returncode == 0
    watched.wait_active("hello", "1.0.0")


@pytest.fixture
def sceptic() -> Iterator[Receiver]:
    """Refuses what is five minutes off, as every receiver does, and is not blamed for it."""
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.mark.parametrize("hours", [1, -1])
def test_clock_jumps(tmp_path: Path, sceptic: Receiver, hours: int) -> None:
    """An hour off, packs go on being tested and activated; put right again, what receivers had refused is delivered."""
    rules = {"schedule_s": [0, *[3] * 99], "jitter": 0}  # so that what is an hour late is late by the clock alone
    daemon = Daemon(tmp_path, webhooks=[{"name": "test", "url": sceptic.url, "secret": SECRET}], delivery=rules)
    offset = tmp_path / "offset"
    offset.write_text("0")
    start = (
        "import runpy, sys, time; real = time.time; "
        f"time.time = lambda: real() + float(open({str(offset)!r}).read()); "
        "sys.argv = ['packd', *sys.argv[1:]]; runpy.run_module('packd', run_name='__main__')"
    )
    command = [sys.executable, "-c", start, "run", str(daemon.packs), "--config", str(daemon._config),
               "--state-dir", str(daemon.state)]  # fmt: skip
    with daemon.log.open("ab") as log:
        daemon.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        daemon.wait_until(daemon.answers, "the daemon to answer")
        write_pack(daemon.packs / "hello", "hello")
        sceptic.wait_for("pack.registered", "hello")
        _set(offset, hours * 3600)
        write_pack(daemon.packs / "hello", "hello", "2.0.0")
        daemon.wait_active("hello", "2.0.0")
        daemon.wait_until(lambda: bool(sceptic.unverified), "the receiver to refuse")
        daemon.wait_until(lambda: bool(_said(daemon, "clock.was_set")), "the daemon to notice")
        _set(offset, 0)
        sceptic.wait_for("pack.updated", "hello", timeout_s=100)
    finally:
        daemon.kill()


def _set(file: Path, seconds: int) -> None:
    fresh = file.with_suffix(".fresh")
    fresh.write_text(str(seconds))
    fresh.replace(file)


# The limit is one of a user namespace: a new one with the same users has its own. Somebody outside writes the maps.
_TEN_WATCHES = """
import ctypes, os, sys
begun, ready, me = os.pipe(), os.pipe(), os.getpid()
if os.fork() == 0:
    os.read(begun[0], 1)
    for kind in ("uid", "gid"):
        with open(f"/proc/{me}/{kind}_map", "w") as map:
            map.write("0 0 65536")
    os.write(ready[1], b"x")
    os._exit(0)
assert ctypes.CDLL(None, use_errno=True).unshare(0x10000000) == 0
os.write(begun[1], b"x")
os.read(ready[0], 1)
os.wait()
with open("/proc/sys/user/max_inotify_watches", "w") as limit:
    limit.write("10")
os.execvp(sys.argv[1], sys.argv[1:])
"""


def test_ten_watches(watched: Daemon) -> None:
    """With room for ten watches packd polls for the rest, says how to raise the limit, and misses nothing."""
    limited = (sys.executable, "-c", _TEN_WATCHES)
    if subprocess.run([*limited, "true"], capture_output=True, check=False).returncode:
        pytest.skip("NOT TESTED: a user namespace with all users in it needs root")
    for number in range(12):
        write_pack(watched.packs / f"pack{number}", f"pack{number}")
    _start(watched, *limited)
    for number in range(12):
        watched.wait_active(f"pack{number}", "1.0.0")
    (trouble,) = _said(watched, "watch.degraded")
    assert trouble["reason"] == "limit"
    assert "max_user_watches" in _said(watched, "watch.trouble")[0]["detail"]
    write_pack(watched.packs / "pack11", "pack11", "2.0.0")
    watched.wait_active("pack11", "2.0.0")


def test_64_descriptors(watched: Daemon, receiver: Receiver) -> None:
    """64 open files are few, and packd says so; whatever fails for want of one is tried again when there are more."""
    for number in range(8):
        write_pack(watched.packs / f"pack{number}", f"pack{number}")
    _start(watched, "prlimit", "--nofile=64:64", "--")
    assert "only 64 files may be open" in _said(watched, "daemon.few_files")[0]["detail"]
    for number in range(8):
        watched.wait_active(f"pack{number}", "1.0.0")
    with contextlib.ExitStack() as callers:
        for _ in range(64):  # they say nothing and take every descriptor that is left
            caller = callers.enter_context(socket.socket(socket.AF_UNIX))
            caller.settimeout(1)
            with contextlib.suppress(OSError):
                caller.connect(str(watched.socket))
        write_pack(watched.packs / "later", "later")
        watched.wait_until(lambda: "Too many open files" in watched.log.read_text(), "what is wrong")
    watched.wait_active("later", "1.0.0")
    receiver.wait_for("pack.registered", "later")
    for number in range(8):
        receiver.wait_for("pack.registered", f"pack{number}")


@needs_root
def test_packs_root_unmounted(watched: Daemon, receiver: Receiver) -> None:
    """A packs directory that is unmounted is named and takes nothing out of use; mounted again, everything is seen."""
    disk = watched.packs.parent / "disk"
    disk.mkdir()

    def mount() -> None:
        done = subprocess.run(["mount", "--bind", str(disk), str(watched.packs)], capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"NOT TESTED: nothing can be mounted here: {done.stderr.decode().strip()}")

    def unmount() -> None:
        subprocess.run(["umount", "-l", str(watched.packs)], check=True)

    mount()
    try:
        _start(watched)
        for ref in ("stays", "goes"):
            write_pack(watched.packs / ref, ref)
            watched.wait_active(ref, "1.0.0")
    finally:
        unmount()
    watched.wait_until(lambda: bool(_said(watched, "watch.degraded")), "what is wrong")
    assert _said(watched, "watch.degraded")[0]["reason"] == "root_missing"
    shutil.rmtree(disk / "goes")
    write_pack(disk / "stays", "stays", "2.0.0")
    assert watched.cli("why", "goes").returncode == 0
    mount()
    try:
        watched.wait_active("stays", "2.0.0")
        watched.wait_until(lambda: bool(_said(watched, "watch.recovered")), "it to be over")
        receiver.wait_for("pack.unregistered", "goes")  # it really is gone, which is seen only now
        write_pack(watched.packs / "fresh", "fresh")
        watched.wait_active("fresh", "1.0.0")
    finally:
        unmount()


@needs_root
def test_packs_root_may_not_be_read(tmp_path: Path) -> None:
    """A packs directory that packd may not read is named once, and takes nothing out of use; readable again, it goes on."""
    powerless = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-all")
    if subprocess.run([*powerless, "true"], capture_output=True, check=False).returncode:
        pytest.skip("NOT TESTED: root can't be deprived of its rights here")
    watch = {"quiet_ms": 100, "remove_grace_s": 0.5, "reconcile_every_s": 1}
    watched = Daemon(tmp_path, watch=watch, tests={"required": False})  # without its rights it can't keep suites apart
    _start(watched, *powerless)
    try:
        _watch_what_may_not_be_read(watched)
    finally:
        watched.kill()


def _watch_what_may_not_be_read(watched: Daemon) -> None:
    for ref in ("stays", "goes"):
        _untested(watched.packs / ref, "1.0.0")
        watched.wait_active(ref, "1.0.0")
    looked = len(_said(watched, "reconcile.put_off"))
    watched.packs.chmod(0)
    try:
        watched.wait_until(lambda: bool(_said(watched, "watch.trouble")), "what is wrong")
        (told,) = _said(watched, "watch.trouble")
        assert (told["reason"], told["scope"]) == ("permission", str(watched.packs))
        assert f"packd may not read {watched.packs}; allow it with `chmod`" in told["detail"]
        assert told["detail"] in [one["reason"] for one in Client(watched.socket).get("/status")["data"]["health"]]
        shutil.rmtree(watched.packs / "goes")  # root may
        watched.wait_until(lambda: len(_said(watched, "reconcile.put_off")) > looked + 1, "another look at everything")
        assert watched.cli("why", "goes").returncode == 0
    finally:
        watched.packs.chmod(0o755)
    watched.wait_until(lambda: bool(_said(watched, "watch.recovered")), "it to be over")
    watched.wait_until(lambda: bool(_said(watched, "pack.unregistered")), "what was removed to be noticed")
    assert [line["pack"] for line in _said(watched, "pack.unregistered")] == ["goes"]
    _untested(watched.packs / "stays", "2.0.0")
    watched.wait_active("stays", "2.0.0")
    assert len(_said(watched, "watch.degraded")) == 1
    assert not _said(watched, "lane.job_failed")


def test_what_is_cleared_away_under_a_daemon(tmp_path: Path) -> None:
    """Without its lock nobody else gets in; without its database it is not ready, and nothing is lost by a restart."""
    daemon = Daemon(tmp_path, watch={"quiet_ms": 100}, tests={"required": False})
    daemon.start()
    try:
        _untested(daemon.packs / "before", "1.0.0")
        daemon.wait_active("before", "1.0.0")
        (daemon.state / "packd.lock").unlink()
        assert daemon.once() == 1
        assert daemon.process is not None
        assert f"another packd (pid {daemon.process.pid}) uses the state directory" in daemon.tail()
        for file in daemon.state.glob("packd.db*"):
            file.unlink()
        _untested(daemon.packs / "since", "1.0.0")
        daemon.wait_active("since", "1.0.0")
        assert "packd.db was removed while packd uses it" in daemon.cli("status").stdout.replace("\n", " ")
        daemon.wait_until(lambda: bool(_said(daemon, "database.displaced")), "the log to say so")
        daemon.wait_until(lambda: bool(_said(daemon, "lock.made_again")), "the lock to be held again")
        assert daemon.stop() == 0
        daemon.start()
        for ref in ("before", "since"):
            daemon.wait_active(ref, "1.0.0")
        discovered = [line["pack"] for line in _said(daemon, "pack.discovered")]
        assert discovered == ["before", "since"]
        assert _said(daemon, "daemon.started")[-1]["previous_stop"] == "clean"
    finally:
        daemon.kill()


def _untested(folder: Path, version: str) -> None:
    """A pack without tests."""
    folder.mkdir(exist_ok=True)
    (folder / "pack.yaml").write_text(f'ref: {folder.name}\nversion: "{version}"\n')
