"""How a suite's process is started, and what keeps it apart from the machine. The only door to subprocess.

A rung turns a command line into one that runs it contained. `basic` is the lowest: limits, a session of its own, an
environment from nothing, a private folder, a deadline and the certainty that nothing survives. It does not hide the
machine's files, its network or other processes of the same user.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from packd.testrun.limits import MIB
from packd.testrun.processes import everyone

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packd.testrun.limits import Limits
    from packd.testrun.mark import Mark

_SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROBE_S: Final = 10.0

# A limit on processes counts all of a user's, in the whole system. What the user runs beside packd must not make a
# pack's fork fail, so this wall stands well away; the exact number is watched by the supervisor.
_PROCESS_MARGIN: Final = 1024
_RECOUNT_S: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class Order:
    """One program to be run for a suite."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]  # the whole environment
    limits: Limits
    mark: Mark
    given: Path | None = None  # what its folder holds a copy of from the beginning; that is not counted as written
    network: bool = False  # may reach the network, where the rung can forbid it
    separate_stdout: bool = False  # stdout is read by a parser and must not be mixed with stderr
    readable: tuple[Path, ...] = ()  # what it needs beside its folder and the system's: to be seen, and not changed
    writable: tuple[Path, ...] = ()  # what it fills, outside of its folder


class Sandbox(Protocol):
    """One rung of the isolation ladder, probed when it is made."""

    @property
    def isolation(self) -> str:
        """Its name, as reports say it."""
        ...

    @property
    def shortcomings(self) -> tuple[str, ...]:
        """What it can't do on this machine, as sentences; empty when it is all that it can be."""
        ...

    def command(self, order: Order) -> list[str]:
        """The command line that runs the order's, contained."""
        ...


class BasicSandbox:
    """util-linux's `setpriv` (die with the thread that started it) and `prlimit` (limits), then the program itself."""

    isolation = "basic"

    def __init__(self) -> None:
        self._setpriv = _working("setpriv", "--pdeathsig", "KILL")
        self._prlimit = _working("prlimit", "--core=0:0", "--")
        self._tasks = (0, -_RECOUNT_S)  # the user's tasks, when they were counted
        self.shortcomings: tuple[str, ...] = (
            *(
                ()
                if self._setpriv
                else ("setpriv is missing: a suite outlives a daemon that is killed, until its next start",)
            ),
            *(() if self._prlimit else ("prlimit is missing: memory, file size and processor time are not limited",)),
        )

    def command(self, order: Order) -> list[str]:
        limits = [*self._prlimit[:1], *self._options(order), "--"] if self._prlimit else []
        return [*self._setpriv, *limits, *order.argv]

    def _options(self, order: Order) -> list[str]:
        limits = order.limits
        wanted = {
            "core": 0,
            "data": limits.memory_mb * MIB or None,
            "fsize": limits.disk_mb * MIB or None,
            "nofile": limits.open_files or None,
            "nproc": self._process_wall(limits.processes),
            "rttime": order.mark.tag,
        }
        options = [f"--{name}={value}:{value}" for name, value in _allowed(wanted).items()]
        if limits.cpu_s:  # first a signal that tells why, a little later the end
            cpu = _allowed({"cpu": limits.cpu_s + 2})["cpu"]
            options.append(f"--cpu={min(limits.cpu_s, cpu)}:{cpu}")
        return options

    def _process_wall(self, processes: int) -> int | None:
        """None for root, whom the kernel does not hold to it."""
        if not processes or os.geteuid() == 0:
            return None
        counted, at = self._tasks
        if time.monotonic() - at >= _RECOUNT_S:
            counted, at = self._tasks = (_user_tasks(), time.monotonic())
        return counted + processes + _PROCESS_MARGIN


def spawn(
    command: Sequence[str], order: Order, *, stdout: int, stderr: int, keep: Sequence[int]
) -> subprocess.Popen[bytes]:
    """Start it in a session of its own, with nothing inherited but the descriptors in `keep`.

    Raises OSError when it can't be started.
    """
    return subprocess.Popen(
        command,
        cwd=order.cwd,
        env=dict(order.env),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        pass_fds=tuple(keep),
        start_new_session=True,
    )


def wait_for(process: subprocess.Popen[bytes], timeout_s: float | None) -> int | None:
    """Its exit status, negative for a signal; None when it has not ended in time."""
    try:
        return process.wait(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return None


_RESOURCES: Final = {
    "core": resource.RLIMIT_CORE,
    "cpu": resource.RLIMIT_CPU,
    "data": resource.RLIMIT_DATA,
    "fsize": resource.RLIMIT_FSIZE,
    "nofile": resource.RLIMIT_NOFILE,
    "nproc": resource.RLIMIT_NPROC,
    "rttime": resource.RLIMIT_RTTIME,
}


def _allowed(wanted: Mapping[str, int | None]) -> dict[str, int]:
    """Lowered to what this process is itself limited to: raising a hard limit would be refused, and the start with it."""
    allowed: dict[str, int] = {}
    for name, value in wanted.items():
        _, most = resource.getrlimit(_RESOURCES[name])
        if value is not None:
            allowed[name] = value if most == resource.RLIM_INFINITY else min(value, most)
    return allowed


def _working(tool: str, *options: str) -> list[str]:
    """The beginning of a command line with this tool, or nothing when it is missing or can't do it here."""
    path = shutil.which(tool, path=_SYSTEM_PATH)
    if path is None:
        return []
    command = [path, *options]
    try:
        probe = subprocess.run([*command, "/bin/sh", "-c", ":"], check=False, capture_output=True, timeout=_PROBE_S)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return command if probe.returncode == 0 else []


def _user_tasks() -> int:
    """Processes and threads of this user, in the whole system."""
    count = 0
    for pid in everyone():
        try:
            if Path(f"/proc/{pid}").stat().st_uid == os.geteuid():
                count += len(os.listdir(f"/proc/{pid}/task"))
        except OSError:
            continue
    return count
