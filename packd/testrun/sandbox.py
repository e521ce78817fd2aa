"""How a suite's process is started, and what keeps it apart from the machine.

A rung of the isolation ladder makes a cell for each program that is to be run: the way to start it contained, what has
to be done while it starts, and the certainty that nothing of it is left. Which rungs there are: `ladder`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from packd.processors import HERE
from packd.testrun.mark import WORK_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from packd.testrun.limits import Limits
    from packd.testrun.mark import Mark
    from packd.testrun.usage import Usage

SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NOBODY_NAMED: Final = "no other user is named in tests.user"  # why suites run as root
_PROBE_S: Final = 10.0

# Makes the content of the open folder, for (uid, gid); None: for whoever makes it.
Fill = Callable[[int, "tuple[int, int] | None"], None]


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
    fill: Fill | None = None  # makes what is to be in there; None: it lies at `private`
    returns: tuple[Path, ...] = ()  # files and folders of the private one that are needed here afterwards
    readable: tuple[Path, ...] = ()  # what it needs beside its folder and the system's: to be seen, and not changed
    writable: tuple[Path, ...] = ()  # what it fills, outside of its folder
    alone: bool = True  # no other of the same run at the same time


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What the kernel counted of a program and all that it started. 0 or None where the rung can't tell."""

    oom_kills: int = 0  # processes that were killed because all of them together took too much memory
    forks_refused: int = 0  # because there were too many
    memory_peak: int | None = None  # bytes, of all of them together
    disk_full: bool = False  # the work folder, or another folder of limited size, had no room left
    overfull: bool = False  # there were more files than fit
    left: int = 0  # processes that it left running, and the rung killed


class Unusable(Exception):
    """A rung does not work here; the message says why."""


class SandboxFailed(OSError):
    """The rung itself could not be entered: nothing of the program was run. The message says why."""


class Process(Protocol):
    """One that was started. Its number stays its own until it was waited for."""

    @property
    def pid(self) -> int: ...

    @property
    def handles(self) -> tuple[int, ...]:
        """Descriptors one of which can be read from when there may be an end to be seen."""
        ...

    def is_over(self) -> bool:
        """Has it ended? To be asked when something can be read."""
        ...

    def kill(self) -> None:
        """It, and whatever cannot outlive it. Nothing happens when it is gone."""
        ...

    def wait(self, timeout_s: float | None) -> int | None:
        """Its exit status, negative for a signal; None when it has not ended in time.

        Raises SandboxFailed when it turns out that it was never started.
        """
        ...


class Cell(Protocol):
    """One program's place on a rung."""

    def start(self, order: Order, *, stdout: int, stderr: int, keep: Sequence[int]) -> Process:
        """Start what will be the order's program, with these descriptors; those in `keep` under their own numbers.

        Raises OSError.
        """
        ...

    @property
    def own_processes(self) -> int:
        """Processes that the rung itself adds."""
        ...

    @property
    def leader(self) -> int | None:
        """The process group to be asked to end, once entered; None: that of the process that was started."""
        ...

    def enter(self) -> None:
        """To be called right after `start`: returns when the program runs. Raises SandboxFailed."""
        ...

    def is_overfull(self) -> bool:
        """Does its folder hold so much that it has to be stopped?"""
        ...

    def clear(self) -> bool:
        """Kill what is left, wait until it is gone, and bring back what the order wants. Once the first one ended.

        True: nothing can be left. Raises ValueError when something can't be brought back.
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

    @property
    def as_root(self) -> str | None:
        """Why suites run as root, which is among its shortcomings; None where they do not."""
        ...

    @property
    def fills(self) -> bool:
        """Do its cells make the content of the private folder themselves, so that none has to lie on the disk?"""
        ...

    def cell(self, order: Order) -> AbstractContextManager[Cell]:
        """A place for one program; nothing of it is left when the block is. Raises OSError."""
        ...

    def lasting(self) -> Lasting:
        """The same for a process that runs many programs, one after another in each of its threads."""
        ...


class Lasting(Sandbox, Protocol):
    """A rung that may keep something ready between two programs of the same thread."""

    def close(self) -> None:
        """Let go of what is kept for this thread."""
        ...


@dataclass(frozen=True)
class Unchanged:
    """A rung that keeps nothing ready. See Lasting."""

    _rung: Sandbox

    @property
    def isolation(self) -> str:
        return self._rung.isolation

    @property
    def shortcomings(self) -> tuple[str, ...]:
        return self._rung.shortcomings

    @property
    def as_root(self) -> str | None:
        return self._rung.as_root

    @property
    def fills(self) -> bool:
        return self._rung.fills

    def cell(self, order: Order) -> AbstractContextManager[Cell]:
        return self._rung.cell(order)

    def lasting(self) -> Lasting:
        return self

    def close(self) -> None:
        """There is nothing."""


@dataclass(frozen=True, kw_only=True)
class OpenCell:
    """A cell that needs nothing but a command line."""

    command: Callable[[Order], Sequence[str]]
    own_processes: int = 0
    leader: int | None = None
    usage: Usage | None = None

    def start(self, order: Order, *, stdout: int, stderr: int, keep: Sequence[int]) -> Process:
        nothing = subprocess.DEVNULL
        command, env = self.command(order), own_environment(order)
        return spawn(command, env=env, cwd=order.cwd, stdin=nothing, stdout=stdout, stderr=stderr, keep=keep)

    def enter(self) -> None:
        """The program runs at once."""

    def is_overfull(self) -> bool:
        return self.usage is not None and self.usage.exceeds()

    def clear(self) -> bool:
        """Whoever started it kills what is left."""
        return False

    def spent(self) -> Spent:
        return Spent()


class Child:
    """A process that this one has started, in a session of its own."""

    def __init__(self, started: subprocess.Popen[bytes]) -> None:
        self._started = started
        self.pid = started.pid
        self._handle = os.pidfd_open(started.pid)

    @property
    def handles(self) -> tuple[int, ...]:
        return (self._handle,)

    def is_over(self) -> bool:
        return True

    def kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def wait(self, timeout_s: float | None) -> int | None:
        try:
            code = self._started.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            return None
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        return code


def spawn(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str | Path,
    stdin: int,
    stdout: int,
    stderr: int,
    keep: Sequence[int],
) -> Child:
    """Start it in a session of its own, with nothing inherited but the descriptors in `keep`; `env` is all of it.

    Raises OSError when it can't be started.
    """
    with HERE.all():
        return Child(
            subprocess.Popen(
                command,
                cwd=cwd,
                env=dict(env),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=tuple(keep),
                start_new_session=True,
            )
        )


def own_environment(order: Order) -> dict[str, str]:
    """Of packd's own programs on the way to the order's: what a pack says could have the loader run its code in them,
    outside of the sandbox or before rights are given up (ld.so(8), LD_PRELOAD)."""
    return {name: order.env[name] for name in (WORK_VARIABLE,) if name in order.env}


def in_its_environment(order: Order, env: str, **more: str) -> list[str]:
    """The last of these: `env` gives the order's program its environment, and `more`, when nothing is left to be given up."""
    argv = order.argv
    if "=" in argv[0]:  # which would be taken for another variable
        argv = ("/bin/sh", "-c", 'exec "$@"', "sh", *argv)
    return [env, "-i", "--", *(f"{name}={value}" for name, value in {**order.env, **more}.items()), *argv]


def tool(name: str) -> str | None:
    """Where a program of the system is; None when it is missing."""
    return shutil.which(name, path=SYSTEM_PATH)


def needed(name: str, package: str, *, known_as: str | None = None) -> str:
    """The same of one that a rung can't do without. Raises Unusable, with the package of Debian's that has it."""
    path = tool(name)
    if path is None:
        raise Unusable(f"{known_as or name} is not installed (`apt-get install {package}`)")
    return path


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
