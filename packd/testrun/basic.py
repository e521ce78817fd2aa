"""The lowest rung: limits, a session of its own, an environment from nothing, a private folder, a deadline and the
certainty that nothing survives. It hides neither the machine's files nor its network nor other processes."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from packd.testrun.rlimits import UserTasks, resource_limits
from packd.testrun.sandbox import NOBODY_NAMED, OpenCell, Unchanged, in_its_environment, tool, tried
from packd.testrun.usage import watched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packd.testrun.sandbox import Lasting, Order
    from packd.testrun.system_files import Someone

# A limit on processes counts all of a user's, in the whole system. What the user runs beside packd must not make a
# pack's fork fail, so this wall stands well away; the exact number is watched by the supervisor.
_PROCESS_MARGIN: Final = 1024


class BasicSandbox:
    """util-linux's `setpriv` (die with the thread that started it) and `prlimit` (limits), then the program itself."""

    isolation = "basic"
    fills = False

    def __init__(self, *, someone: Someone | None = None, why_nobody: str | None = None) -> None:
        """Suites become `someone`, where packd is root and they can reach what they need; `why_nobody` is why not."""
        self._setpriv = _working("setpriv", "--pdeathsig", "KILL")
        self._someone = someone if self._setpriv else None
        self.as_root = None
        if os.geteuid() == 0 and self._someone is None:
            self.as_root = why_nobody or (NOBODY_NAMED if someone is None else "setpriv is missing")
        self._prlimit = _working("prlimit", "--core=0:0", "--")
        self._env = tool("env") or "env"
        self._tasks = UserTasks()
        self.shortcomings: tuple[str, ...] = (
            "a suite sees this machine's files, network and processes; only namespaces would hide them",
            *((f"suites run as root: {self.as_root}",) if self.as_root else ()),
            *(
                ()
                if self._setpriv
                else ("setpriv is missing: a suite outlives a daemon that is killed, until its next start",)
            ),
            *(() if self._prlimit else ("prlimit is missing: memory, file size and processor time are not limited",)),
        )

    @contextlib.contextmanager
    def cell(self, order: Order) -> Iterator[OpenCell]:
        """See Sandbox."""
        if self._someone is not None and order.private is not None:
            _give(order.private, self._someone)
        yield OpenCell(command=self.command, usage=watched(order))

    def lasting(self) -> Lasting:
        """See Sandbox."""
        return Unchanged(self)

    def command(self, order: Order) -> list[str]:
        """The command line that runs the order's, limited."""
        limits = [*self._prlimit[:1], *self._options(order), "--"] if self._prlimit else []
        return [*self._setpriv, *self._becoming(order), *limits, *in_its_environment(order, self._env)]

    def _becoming(self, order: Order) -> list[str]:
        """Builds stay packd's own: they fill its folders."""
        if self._someone is None or order.private is None:
            return []
        return [f"--reuid={self._someone.uid}", f"--regid={self._someone.gid}", "--clear-groups", "--inh-caps=-all"]

    def _options(self, order: Order) -> list[str]:
        limits = resource_limits(order.limits, order.mark, processes=self._process_wall(order.limits.processes))
        return [f"--{name}={soft}:{hard}" for name, (soft, hard) in limits.items()]

    def _process_wall(self, processes: int) -> int | None:
        """None for root, whom the kernel does not hold to it."""
        if not processes or os.geteuid() == 0:
            return None
        return self._tasks.count() + processes + _PROCESS_MARGIN


def _give(folder: Path, someone: Someone) -> None:
    """What is in there, to its last link."""
    os.chown(folder, someone.uid, someone.gid)
    for _, folders, files, descriptor in os.fwalk(folder):
        for name in (*folders, *files):
            os.chown(name, someone.uid, someone.gid, dir_fd=descriptor, follow_symlinks=False)


def _working(name: str, *options: str) -> list[str]:
    """The beginning of a command line with this tool, or nothing when it is missing or can't do it here."""
    path = tool(name)
    if path is None or tried([path, *options, "/bin/sh", "-c", ":"]) is not None:
        return []
    return [path, *options]
