"""Packs that attack, dropped into the real daemon: each is refused for what it did, and the daemon stays well."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from daemon import Daemon
from packs import write_pack
from receiver import SECRET, Receiver

ATTACKS = Path(__file__).parents[1] / "attacks" / "packs"
LIMITS = {"processes": 20, "disk_mb": 16, "output_kb": 64, "memory_mb": 128, "cpu_s": 10}
TOKEN = f"token-{os.getpid()}"

# Suite-level reason, the event's reason and its limit.
EXPECTED = {
    "fork_bomb": ("processes", "resource_limit", "processes"),
    "memory_hog": ("memory", "resource_limit", "memory"),
    "disk_filler": ("disk", "resource_limit", "disk"),
    "output_flood": ("output", "resource_limit", "output"),
    "sleeper": ("timeout", "timeout", None),
    "liar": ("inconsistent", "crash", None),
    "report_bomb": ("inconsistent", "crash", None),
}
HARMLESS = ("double_fork", "locked_folders")  # they pass their tests; what they leave goes all the same


@pytest.fixture
def daemon(tmp_path: Path, receiver: Receiver) -> Daemon:
    webhooks = [{"name": "test", "url": receiver.url, "secret": SECRET}]
    return Daemon(tmp_path, webhooks=webhooks, tests={"limits": LIMITS, "grace_s": 0.3})


def drop(daemon: Daemon, name: str, folder: Path) -> None:
    """In one step, as `mv` does."""
    ready = folder / "ready" / name
    shutil.copytree(ATTACKS / name, ready)
    (ready / "targets.json").write_text(json.dumps({"token": TOKEN}))
    ready.rename(daemon.packs / name)


def test_attacks_are_refused_and_the_daemon_is_well(daemon: Daemon, receiver: Receiver, tmp_path: Path) -> None:
    """By name of the limit in report, event, marker and `packd why`; nothing is left, and a good pack becomes active."""
    daemon.start()
    try:
        for name in (*EXPECTED, *HARMLESS):
            drop(daemon, name, tmp_path)
        for name in EXPECTED:
            check_refused(daemon, receiver, name)
        for name in HARMLESS:
            daemon.wait_active(name, "1.0.0")
        write_pack(daemon.packs / "good", "good")
        daemon.wait_active("good", "1.0.0")
        daemon.wait_until(lambda: os.listdir(daemon.state / "work") == [], "the runs' folders to be gone")
        daemon.wait_until(lambda: not processes_of_runs(daemon), "nothing of the runs to be alive")
    finally:
        assert daemon.stop() == 0
    lines = [line for line in daemon.logged() if line["level"] in ("error", "critical")]
    assert {line["event"] for line in lines} <= {"pack.test_failed"}


def check_refused(daemon: Daemon, receiver: Receiver, name: str) -> None:
    reason, told, limit = EXPECTED[name]
    data = receiver.wait_for("pack.test_failed", name).event["data"]
    assert (data["reason"], data["limit"]) == (told, limit)
    report = json.loads(daemon.cli("tests", name, "--run", "latest", "--json").stdout)["report"]
    assert [suite["reason"] for suite in report["test_suites"]] == [reason]
    why = daemon.cli("why", name)
    assert why.returncode == 1
    assert f"[{reason}]" in why.stdout
    daemon.wait_until((daemon.packs / f"{name}.failed").exists, f"the marker of {name}")
    assert f"[{reason}]" in (daemon.packs / f"{name}.failed").read_text()
    assert daemon.show(name)["tests"]["reason"] == reason


def processes_of_runs(daemon: Daemon) -> list[str]:
    """By their arguments and their environment. Walls that stand are no run's."""
    marks = (TOKEN.encode(), os.fsencode(daemon.state / "work"))
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            said = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if int(process.name) != os.getpid() and b"warden.py" not in said and any(mark in said for mark in marks):
            found.append(said.decode(errors="replace"))
    return found
