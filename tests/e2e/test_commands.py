"""The commands that change something, against the real daemon: what they print, what they exit with, what is true then."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from daemon import DEADLINE_S, Daemon
from packs import write_pack


def test_register_from_elsewhere(daemon: Daemon, tmp_path: Path) -> None:
    """A path becomes a pack; what exists needs --replace, what fails is rolled back with its report, --force accepts."""
    daemon.start()
    pack = write_pack(tmp_path / "elsewhere" / "mine", "mine")
    first = daemon.cli("register", str(pack))
    assert first.returncode == 0, first.stderr
    assert "Pack 'mine' 1.0.0 (mine#1) was registered" in first.stdout

    write_pack(pack, "mine", "2.0.0", test="echo broken; exit 3")
    exists = daemon.cli("register", str(pack))
    assert exists.returncode == 1
    assert "already exists. Use --force to reinstall. With --replace" in exists.stderr
    failing = daemon.cli("register", str(pack), "--replace")
    assert failing.returncode == 1
    assert "broken" in failing.stdout
    assert "Use --force to register anyway" in failing.stderr
    assert daemon.show("mine")["active"]["version"] == "1.0.0"
    as_json = daemon.cli("register", str(pack), "--replace", "--json")
    assert as_json.returncode == 1
    assert json.loads(as_json.stdout)["rolled_back"] is True
    forced = daemon.cli("register", str(pack), "--force")
    assert forced.returncode == 0, forced.stderr
    assert "because force was given" in forced.stdout
    assert daemon.show("mine")["active"]["version"] == "2.0.0"

    nothing = daemon.cli("register", str(tmp_path / "nothing"))
    assert (nothing.returncode, "does not exist" in nothing.stderr) == (2, True)
    write_pack(tmp_path / "needy", "needy", needs="absent")
    waits = daemon.cli("register", str(tmp_path / "needy"))
    assert waits.returncode == 1
    assert "waits for absent, and goes on by itself" in waits.stdout


def test_out_of_use_and_back(daemon: Daemon, tmp_path: Path) -> None:
    """Disabled it is not in use and says so, enabled it is as before, removed it is gone and its history stays."""
    daemon.start()
    write_pack(daemon.packs / "core", "core")
    daemon.wait_active("core", "1.0.0")
    write_pack(daemon.packs / "slack", "slack", needs="core")
    daemon.wait_active("slack", "1.0.0")
    disabled = daemon.cli("disable", "core")
    assert disabled.returncode == 0, disabled.stderr
    assert "slack" in disabled.stdout
    assert daemon.show("core")["active"] is None
    assert daemon.cli("disable", "core").returncode == 1
    assert daemon.cli("enable", "core").returncode == 0
    assert daemon.show("core")["active"]["version"] == "1.0.0"
    assert daemon.cli("remove", "core").returncode == 0
    assert daemon.cli("history", "core").returncode == 0
    assert daemon.cli("why", "core").returncode == 1
    for command in ("enable", "disable", "remove"):
        assert daemon.cli(command, "nobody").returncode == 1


def test_interrupting_register_cancels_it(daemon: Daemon, tmp_path: Path) -> None:
    """^C while the tests run: nothing becomes active, and the command exits as interrupted ones do."""
    daemon.start()
    pack = write_pack(tmp_path / "slow", "slow", test="exec sleep 19")
    command = [sys.executable, "-m", "packd", "register", str(pack), "--socket", str(daemon.socket)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        daemon.wait_until(lambda: "slow" in daemon.cli("status").stdout, "its tests to run")
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "cancelled" in said
    daemon.wait_until(lambda: daemon.show("slow")["latest"]["phase"] == "superseded", "it to be withdrawn")
