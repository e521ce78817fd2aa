"""The lowest rung: limits, a session of its own, an environment from nothing, a private folder, a deadline and the
certainty that nothing survives. It hides neither the machine's files nor its network nor other processes."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from packd.testrun.rlimits import UserTasks, resource_limits
from packd.testrun.sandbox import OpenCell, tool, tried
from packd.testrun.usage import watched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packd.testrun.sandbox import Order

# A limit on processes counts all of a user's, in the whole system. What the user runs beside packd must not make a
# pack's fork fail, so this wall stands well away; the exact number is watched by the supervisor.
_PROCESS_MARGIN: Final = 1024


class BasicSandbox:
    """util-linux's `setpriv` (die with the thread that started it) and `prlimit` (limits), then the program itself."""

    isolation = "basic"

    def __init__(self) -> None:
        self._setpriv = _working("setpriv", "--pdeathsig", "KILL")
        self._prlimit = _working("prlimit", "--core=0:0", "--")
        self._tasks = UserTasks()
        self.shortcomings: tuple[str, ...] = (
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
        yield OpenCell(command=self.command(order), usage=watched(order))

    def command(self, order: Order) -> list[str]:
        """The command line that runs the order's, limited."""
        limits = [*self._prlimit[:1], *self._options(order), "--"] if self._prlimit else []
        return [*self._setpriv, *limits, *order.argv]

    def _options(self, order: Order) -> list[str]:
        limits = resource_limits(order.limits, order.mark, processes=self._process_wall(order.limits.processes))
        return [f"--{name}={soft}:{hard}" for name, (soft, hard) in limits.items()]

    def _process_wall(self, processes: int) -> int | None:
        """None for root, whom the kernel does not hold to it."""
        if not processes or os.geteuid() == 0:
            return None
        return self._tasks.count() + processes + _PROCESS_MARGIN


def _working(name: str, *options: str) -> list[str]:
    """The beginning of a command line with this tool, or nothing when it is missing or can't do it here."""
    path = tool(name)
    if path is None or tried([path, *options, "/bin/sh", "-c", ":"]) is not None:
        return []
    return [path, *options]
