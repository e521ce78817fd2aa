"""The real daemon as a process, and the real command line beside it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from packd.client import Client
from packd.domain.failures import Failure
from tests.waiting import wait_until

DEADLINE_S = 60.0


class Daemon:
    """`packd run` on folders of a test."""

    deadline_s = DEADLINE_S  # for whatever is waited for
    once_s = 300.0  # for `run --once`

    def __init__(self, folder: Path, *, webhooks: list[dict[str, Any]] | None = None, **settings: Any) -> None:
        self.packs = folder / "packs"
        self.state = folder / "state"
        self.socket = self.state / "packd.sock"
        self.log = folder / "log.jsonl"
        self._config = folder / "packd.yaml"
        self.packs.mkdir(exist_ok=True)
        config = {"watch": {"quiet_ms": 200, "remove_grace_s": 0.5}, "webhooks": webhooks or [], **settings}
        self._config.touch(mode=0o600)
        self._config.write_text(yaml.safe_dump(config))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str, env: dict[str, str] | None = None) -> None:
        """Returns when the socket answers."""
        command = [
            *[sys.executable, "-m", "packd", "run", str(self.packs)],
            *["--config", str(self._config), "--state-dir", str(self.state), *arguments],
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})}
            )
        self.wait_until(self.answers, "the daemon to answer")

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the daemon ended:\n{self.tail()}"
        try:
            Client(self.socket).get("/status")
        except Failure:
            return False
        return True

    def kill(self) -> None:
        """As the kernel would: no chance to say anything."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(self.deadline_s)

    def stop(self) -> int:
        """As systemd would; returns the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(self.deadline_s)

    def once(self) -> int:
        """`packd run --once`."""
        command = [
            *[sys.executable, "-m", "packd", "run", str(self.packs)],
            *["--config", str(self._config), "--state-dir", str(self.state), "--once"],
        ]
        with self.log.open("ab") as log:
            return subprocess.run(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, timeout=self.once_s, check=False
            ).returncode

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command, as a person would type it."""
        return subprocess.run(
            [sys.executable, "-m", "packd", *arguments, "--socket", str(self.socket)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def metrics(self) -> str:
        """What Prometheus would get."""
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.socket))
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return text

    def show(self, ref: str) -> dict[str, Any]:
        answer = self.cli("show", ref, "--json")
        assert answer.returncode == 0, answer.stderr
        shown: dict[str, Any] = json.loads(answer.stdout)
        return shown

    def wait_active(self, ref: str, version: str) -> None:
        """Until this version of the pack is the one in use."""

        def active() -> bool:
            answer = self.cli("show", ref, "--json")
            if answer.returncode:
                return False
            in_use = json.loads(answer.stdout)["active"]
            return bool(in_use) and in_use["version"] == version

        self.wait_until(active, f"{ref} {version} to be active")

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        wait_until(condition, lambda: f"{what}; the log ends with\n{self.tail()}", deadline_s=self.deadline_s)

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-40:])

    def logged(self) -> list[dict[str, Any]]:
        """Every log line so far. Lines end with a line feed and nothing else, whatever is written in them."""
        lines = self.log.read_text(errors="replace").split("\n")
        return [json.loads(line) for line in lines if line.startswith("{")]
