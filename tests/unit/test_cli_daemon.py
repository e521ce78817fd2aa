"""The commands against a real daemon, as a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from packd.cli.app import cli
from tests.waiting import wait_until


@dataclass
class Daemon:
    """A daemon with a folder."""

    folder: Path

    def packd(self, *arguments: str) -> Result:
        environ = {"PACKD_SOCKET": str(self.folder / "state/packd.sock")}
        return CliRunner().invoke(cli, arguments, env=environ)

    def asked(self, *arguments: str) -> Any:
        """What --json says."""
        return json.loads(self.packd(*arguments, "--json").stdout)

    def until(self, holds: Callable[[], bool]) -> None:
        wait_until(holds, lambda: f"it; the log ends with\n{(self.folder / 'log').read_text()[-3000:]}")

    def phase(self, ref: str) -> str | None:
        """Of its newest content."""
        packs = {pack["ref"]: pack for pack in self.asked("list")}
        return packs[ref]["latest"]["phase"] if ref in packs and packs[ref]["latest"] else None


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    folder = Path(tempfile.mkdtemp(prefix="packd-daemon-"))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PACKD_")}
    with (folder / "log").open("w") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "packd", "run", str(folder / "packs"), "--state-dir", str(folder / "state")],
            env={**environ, "PACKD_WATCH__QUIET_MS": "50"},
            stdout=log,
            stderr=log,
        )
    made = Daemon(folder)
    try:
        made.until(lambda: made.packd("status").exit_code == 0)
        yield made
    finally:
        running.send_signal(signal.SIGTERM)
        status = running.wait(20)
        shutil.rmtree(folder)
    assert status == 0


def break_it(daemon: Daemon, ref: str) -> None:
    script = daemon.folder / f"packs/{ref}/actions/greet.sh"
    script.write_text(script.read_text().replace("Hello", "Hullo"))


def test_from_new_to_rollback(daemon: Daemon) -> None:
    """A pack's whole life by commands: written, active, tested, updated, rolled back, broken, tried again."""
    assert daemon.packd("new", "hello", "--dir", str(daemon.folder / "packs")).exit_code == 0
    daemon.until(lambda: daemon.phase("hello") == "active")
    assert daemon.packd("why", "hello").exit_code == 0
    run = daemon.asked("test", "hello")
    assert (run["status"], run["source"], run["trigger_reason"]) == ("passed", "cli", "manual")
    assert run["actor"] == f"uid={os.getuid()} pid={os.getpid()}"
    (daemon.folder / "packs/hello/README").write_text("New.\n")
    daemon.until(lambda: daemon.asked("show", "hello")["active"]["number"] == 2)
    assert daemon.packd("rollback", "hello").exit_code == 0
    assert daemon.asked("show", "hello")["active"]["number"] == 1
    assert daemon.packd("rollback", "hello").exit_code == 1  # there is nothing left to go back to
    break_it(daemon, "hello")
    daemon.until(lambda: daemon.phase("hello") == "failed")
    why = daemon.packd("why", "hello")
    assert (why.exit_code, "FAILED: greets by name" in why.stdout) == (1, True)
    runs = len(daemon.asked("tests", "hello"))
    assert daemon.packd("retry", "hello").exit_code == 0
    daemon.until(lambda: len(daemon.asked("tests", "hello")) > runs and daemon.phase("hello") == "failed")
    history = daemon.asked("history", "hello")
    assert [one["number"] for one in history["revisions"]] == [3, 2, 1]
    assert [one["reason"] for one in history["activations"]] == ["rolled_back", "updated", "registered"]
    assert daemon.packd("retry", "nobody").exit_code == 1


def test_the_feed_is_whole(daemon: Daemon) -> None:
    """Pages and stream together hold every event once, without a gap, up to what happens while one reads."""
    following = subprocess.Popen(
        [sys.executable, "-m", "packd", "events", "--follow", "--json", "--after", "0", "--socket",
         str(daemon.folder / "state/packd.sock")],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert following.stdout is not None
    assert daemon.packd("new", "followed", "--dir", str(daemon.folder / "packs")).exit_code == 0
    seen = []
    for line in following.stdout:
        seen.append(json.loads(line))
        if (seen[-1]["type"], seen[-1]["subject"]) == ("pack.registered", "packs/followed"):
            break
    following.send_signal(signal.SIGINT)
    following.stdout.close()
    assert following.wait(10) == 0
    assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1))


def test_a_refused_drop(daemon: Daemon) -> None:
    """A folder that is no pack is listed by its name, with why."""
    (daemon.folder / "packs/Not a pack").mkdir()
    daemon.until(lambda: any(pack["status"] in ("refused", "rejected") for pack in daemon.asked("list")))
    why = daemon.packd("why", "Not a pack")
    assert why.exit_code == 1
    assert "pack.yaml" in why.stdout


def test_a_second_daemon_is_refused(daemon: Daemon) -> None:
    """By name of the first one's pid, in a sentence."""
    second = subprocess.run(
        [sys.executable, "-m", "packd", "run", str(daemon.folder / "packs"), "--state-dir", str(daemon.folder / "state")],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert second.returncode == 1
    assert second.stderr.startswith("packd: another packd (pid ")
    assert "Traceback" not in second.stderr


def test_status_of_a_real_daemon(daemon: Daemon) -> None:
    """Every line of it has something to say."""
    text = daemon.packd("status").stdout
    assert str(daemon.folder / "packs") in text
    assert "isolation" in text
