"""How a suite's process is started, and what keeps it apart from the machine. The only door to subprocess.

A rung of the isolation ladder makes a cell for each program that is to be run: the command line that runs it contained,
what has to be done while it starts, and the certainty that nothing of it is left. Which rungs there are: `ladder`.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from packd.testrun.limits import Limits
    from packd.testrun.mark import Mark
    from packd.testrun.usage import Usage

SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROBE_S: Final = 10.0


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
    private: Path | None = None  # the folder that it works in: where the rung can, it gets a copy of limited size
    returns: tuple[Path, ...] = ()  # files and folders of the private one that are needed here afterwards
    readable: tuple[Path, ...] = ()  # what it needs beside its folder and the system's: to be seen, and not changed
    writable: tuple[Path, ...] = ()  # what it fills, outside of its folder


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What the kernel counted of a program and all that it started. 0 or None where the rung can't tell."""

    oom_kills: int = 0  # processes that were killed because all of them together took too much memory
    forks_refused: int = 0  # because there were too many
    memory_peak: int | None = None  # bytes, of all of them together
    disk_full: bool = False  # the work folder, or another folder of limited size, had no room left
    overfull: bool = False  # there were more files than fit


class SandboxFailed(OSError):
    """The rung itself could not be entered: nothing of the program was run. The message says why."""


class Cell(Protocol):
    """One program's place on a rung."""

    @property
    def command(self) -> Sequence[str]:
        """The command line that runs it, contained."""
        ...

    @property
    def stdin(self) -> int:
        """What the command line gets as its stdin."""
        ...

    @property
    def keep(self) -> Sequence[int]:
        """Descriptors that it needs."""
        ...

    @property
    def own_processes(self) -> int:
        """Processes that the rung itself adds."""
        ...

    @property
    def leader(self) -> int | None:
        """The process group to be asked to end, once entered; None: that of the process that was started."""
        ...

    def enter(self, pid: int) -> None:
        """To be called right after the command was started as `pid`: returns when the program runs.

        Raises SandboxFailed.
        """
        ...

    def is_overfull(self) -> bool:
        """Does its folder hold so much that it has to be stopped?"""
        ...

    def clear(self) -> None:
        """Kill what is left, wait until it is gone, and bring back what the order wants. Once the first one ended.

        Raises SandboxFailed when something can't be brought back.
        """
        ...

    def spent(self) -> Spent:
        """To be asked after `clear`."""
        ...


class Sandbox(Protocol):
    """One rung of the isolation ladder, probed when it is made."""

    @property
    def isolation(self) -> str:
        """Its name, as reports say it."""
        ...

    @property
    def shortcomings(self) -> tuple[str, ...]:
        """What it does not contain on this machine, as sentences; empty when it is all that it can be."""
        ...

    def cell(self, order: Order) -> AbstractContextManager[Cell]:
        """A place for one program; nothing of it is left when the block is. Raises OSError."""
        ...


@dataclass(frozen=True, kw_only=True)
class OpenCell:
    """A cell that needs nothing but a command line."""

    command: Sequence[str]
    stdin: int = subprocess.DEVNULL
    keep: tuple[int, ...] = ()
    own_processes: int = 0
    leader: int | None = None
    usage: Usage | None = None

    def enter(self, pid: int) -> None:
        """The program runs at once."""

    def is_overfull(self) -> bool:
        return self.usage is not None and self.usage.exceeds()

    def clear(self) -> None:
        """Whoever started it kills what is left."""

    def spent(self) -> Spent:
        return Spent()


def spawn(
    command: Sequence[str], order: Order, *, stdin: int, stdout: int, stderr: int, keep: Sequence[int]
) -> subprocess.Popen[bytes]:
    """Start it in a session of its own, with nothing inherited but the descriptors in `keep`.

    Raises OSError when it can't be started.
    """
    return subprocess.Popen(
        command,
        cwd=order.cwd,
        env=dict(order.env),
        stdin=stdin,
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


def tool(name: str) -> str | None:
    """Where a program of the system is; None when it is missing."""
    return shutil.which(name, path=SYSTEM_PATH)


def tried(command: Sequence[str]) -> str | None:
    """Run something quick: None when it ended well, otherwise what it said."""
    try:
        probe = subprocess.run(
            command, check=False, capture_output=True, timeout=_PROBE_S, stdin=subprocess.DEVNULL, env={}
        )
    except (OSError, subprocess.TimeoutExpired) as trouble:
        return str(trouble)
    if probe.returncode == 0:
        return None
    said = probe.stderr.decode(errors="replace").strip().splitlines()
    return said[-1] if said else f"it ended with exit status {probe.returncode}"
