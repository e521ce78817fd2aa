"""What a daemon tells whoever started it, as systemd would hear it."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import Daemon
from packs import write_pack


class Manager:
    """Listens where $NOTIFY_SOCKET says, and keeps every line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    def heard(self, beginning: str) -> bool:
        """By now?"""
        while True:
            try:
                message, passed, *_ = socket.recv_fds(self._socket, 4096, 4)
            except BlockingIOError:
                return any(line.startswith(beginning) for line in self.lines)
            for descriptor in passed:
                os.close(descriptor)  # a barrier is passed by closing it
            self.lines += message.decode().splitlines()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.close()


def test_a_life_as_the_manager_hears_it(tmp_path: Path, manager: Manager) -> None:
    """READY when the socket answers, signs of life, a reload that begins and ends, a stop that asks for the time it takes."""
    daemon = Daemon(tmp_path)
    daemon.start(env={"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "1000000"})
    try:
        daemon.wait_until(lambda: manager.heard("READY=1"), "READY")
        assert daemon.answers()
        daemon.wait_until(lambda: manager.heard("STATUS=Watching "), "the status")
        daemon.wait_until(lambda: manager.heard("WATCHDOG=1"), "a sign of life")
        write_pack(daemon.packs / "slow", "slow", test="exec sleep 4322")
        daemon.wait_until(lambda: any(line["event"] == "pack.test_started" for line in daemon.logged()), "the run")
        manager.lines.clear()
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_until(lambda: manager.heard("READY=1"), "the end of the reload")
        reload = [line.split("=")[0] for line in manager.lines if line.startswith(("RELOADING", "MONOTONIC", "READY"))]
        assert reload == ["RELOADING", "MONOTONIC_USEC", "READY"]
        manager.lines.clear()
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait_until(lambda: manager.heard("STATUS=Stopped"), "the end")
        assert daemon.process.wait(30) == 0
    finally:
        daemon.stop()
    ending = [line.split("=")[0] for line in manager.lines if not line.startswith(("STATUS=", "WATCHDOG"))]
    assert ending[0] == "STOPPING"
    assert "EXTEND_TIMEOUT_USEC" in ending
    assert "STATUS=Draining: ending the suites that run" in manager.lines
