"""The processor that packd's own threads share.

One thread at a time runs Python. When threads on two processors take turns, each turn is paid for by waking the other
processor, which often takes longer than the turn. So they stay on one, the home: many packs at once take a quarter less time.
What packd starts, and what works for long without Python, goes wherever the system sends it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from collections.abc import Set as AbstractSet

_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
_AT_WORK: Final = 0.02  # of a processor's time that this process takes
_WORTH_MOVING: Final = 0.25  # of a processor's time that others take here, and not there
_BUSY: Final = (0, 1, 2, 5, 6, 7)  # user, nice, system, irq, softirq, steal: the columns of proc(5), /proc/stat
_PROCESSOR: Final = 36  # of the columns of proc(5), /proc/thread-self/stat, that follow the name


Busy = Mapping[int, float]  # by processor: the seconds for which anybody used it, since some moment


@dataclass(frozen=True)
class _Seen:
    """At a moment, in seconds."""

    at_s: float
    own_s: float  # processor time of this process
    busy_s: Busy | None  # None: it was not looked at


class Processors:
    """Where the threads of this process are, and where they may be. There is one for the process: `HERE`."""

    def __init__(
        self, *, used: Callable[[], tuple[float, float]] | None = None, busy: Callable[[], Busy] | None = None
    ):
        """`used`: what time it is, and how much processor time this process has used; `busy`: how much all of them."""
        self.home: int | None = None  # None: the threads are everywhere
        self._used = used or _used
        self._busy = busy or _busy
        self._allowed = frozenset(os.sched_getaffinity(0))  # as the process was started
        self._usual: AbstractSet[int] = self._allowed  # where the threads of this process are
        self._seen = _Seen(*self._used(), busy_s=None)

    def settle(self) -> None:
        """All threads that there are, and those that they make, stay on one processor from now on.

        They stay everywhere where the system does not let them, as in a service whose system calls are filtered.
        """
        with suppress(OSError, ValueError, IndexError):
            if len(self._allowed) > 1:
                current = _current()
                os.sched_setaffinity(0, {current})
                self._move_to(current)

    def look(self) -> bool:
        """To be called every few seconds: move to where others leave more room, if it is much more. Was it?

        While nothing is done here it does not matter, and nothing is looked at.
        """
        if self.home is None:
            return False
        before, (at_s, own_s) = self._seen, self._used()
        is_at_work = own_s - before.own_s > _AT_WORK * (at_s - before.at_s)
        self._seen = _Seen(at_s, own_s, self._busy() if is_at_work else None)
        taken = {one: share for one, share in _taken(before, self._seen, self.home).items() if one in self._allowed}
        if not taken:
            return False
        freest = min(taken, key=lambda one: taken[one])
        if self.home in taken and taken[self.home] - taken[freest] <= _WORTH_MOVING:
            return False
        self._move_to(freest)
        return True

    def keep_off(self, home: int | None) -> None:
        """In a process beside the daemon's: this thread, and those that it makes, leave that its processor."""
        wanted = self._allowed - {home} or self._allowed
        if wanted != self._usual:
            self._usual = wanted
            _send(0, wanted)

    @contextmanager
    def all(self) -> Iterator[None]:
        """Within the block this thread, and what it starts, may use every processor that packd was given."""
        if self._usual == self._allowed:
            yield
            return
        _send(0, self._allowed)
        try:
            yield
        finally:
            _send(0, self._usual)

    def described(self) -> dict[str, list[int]]:
        """For a program that has nothing of packd: where it is to be itself, and where all may be that it starts."""
        return {"own": sorted(self._usual), "all": sorted(self._allowed)}

    def _move_to(self, processor: int) -> None:
        self.home, self._usual = processor, frozenset({processor})
        sent: set[str] = set()
        while new := set(os.listdir("/proc/self/task")) - sent:  # one that was not sent yet may just have made another
            for thread in new:
                _send(int(thread), self._usual)
            sent |= new


def _used() -> tuple[float, float]:
    return time.monotonic(), time.process_time()


def _busy() -> Busy:
    busy: dict[int, float] = {}
    with suppress(OSError), open("/proc/stat", encoding="ascii") as file:  # noqa: PTH123  every few seconds, for as long as packd runs
        for line in file:
            name, *columns = line.split()
            if not name.startswith("cpu"):
                break
            if name != "cpu":  # that of all together
                busy[int(name.removeprefix("cpu"))] = sum(int(columns[one]) for one in _BUSY) / _TICKS_A_SECOND
    return busy


def _taken(before: _Seen, after: _Seen, home: int) -> dict[int, float]:
    """The share of each processor's time that did not go to this process, all of which was at home; none: not known."""
    if before.busy_s is None or after.busy_s is None:
        return {}
    elapsed_s = max(after.at_s - before.at_s, 0.001)
    both = after.busy_s.keys() & before.busy_s.keys()
    taken = {one: (after.busy_s[one] - before.busy_s[one]) / elapsed_s for one in both}
    if home in taken:
        taken[home] -= (after.own_s - before.own_s) / elapsed_s
    return taken


def _send(thread: int, where: AbstractSet[int]) -> None:
    with suppress(OSError):  # it has ended, or the machine has lost that processor: then the system chooses
        os.sched_setaffinity(thread, where)


def _current() -> int:
    """The processor that this thread is on."""
    with open("/proc/thread-self/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
        return int(file.read().rpartition(")")[2].split()[_PROCESSOR])


HERE: Final = Processors()
