"""The daemon as the end-to-end tests start it, with what the kernel says of its process."""

from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from daemon import Daemon

_TICKS = os.sysconf("SC_CLK_TCK")


class MeasuredDaemon(Daemon):
    """Counts as started when it is ready: the folder has been compared with the registry."""

    deadline_s = 600.0  # 10,000 packs on a machine that others use, too
    once_s = 1800.0

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the daemon ended:\n{self.tail()}"
        return _ready(self.socket)

    def cpu_s(self) -> float:
        """Processor time of all its threads so far."""
        assert self.process is not None
        return cpu_s(self.process.pid)

    def peak_mb(self) -> float:
        """The most memory that it ever held (VmHWM), in MB of 1,000,000 bytes."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6

    def reconciled(self) -> dict[str, int]:
        """What its last start found."""
        (*_, started) = (line for line in self.logged() if line["event"] == "daemon.started")
        found: dict[str, int] = started["reconciled"]
        return found


@contextmanager
def running(folder: Path, **settings: Any) -> Iterator[MeasuredDaemon]:
    """A daemon on `folder`, ended with the block whatever happens."""
    folder.mkdir(exist_ok=True)
    daemon = MeasuredDaemon(folder, **settings)
    try:
        daemon.start()
        yield daemon
        daemon.stop()
    finally:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()


def cpu_s(pid: int) -> float:
    """utime + stime of a process (proc_pid_stat(5)): all its threads, not its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _ready(path: Path) -> bool:
    connection = http.client.HTTPConnection("localhost", timeout=5)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.sock.settimeout(5)
        connection.sock.connect(str(path))
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
