"""Which processes belong to a run, and making sure that none is left."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import select
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from packd.testrun.mark import Mark

_PR_SET_CHILD_SUBREAPER: Final = 36  # linux/prctl.h
_CROWD: Final = 16  # processes left of a run that can make killing them a race
_WATCHED: Final = 64  # killed processes whose end is waited for at once
_LOOK_AGAIN_MS: Final = 50
_PAGE: Final = 65_536  # bytes of a list that are read at once
_TICKS: Final = os.sysconf("SC_CLK_TCK")  # a second, as the kernel counts processor time
_PATIENCE_S: Final = 10.0  # for killed processes to be gone; only one that hangs in the kernel takes longer


def adopt_orphans() -> bool:
    """Make this process the parent of every orphan among its descendants (prctl(2), PR_SET_CHILD_SUBREAPER).

    A run's double-forked processes then stay in sight. False where the system refuses.
    """
    return bool(ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


_State = Literal["alive", "reaped", "ended"]


@dataclass(frozen=True, kw_only=True)
class Killed:
    """What was left of a run and is no more."""

    count: int = 0  # processes that were alive
    stubborn: tuple[int, ...] = ()  # process ids that were killed and are not gone


@dataclass(kw_only=True)
class Family:
    """The processes of one run: its first one, all its descendants, and orphans that carry its mark."""

    mark: Mark
    adopting: bool  # orphans become children of this process; otherwise all processes are searched
    first: int | None = None  # process id of the first one; None once it was waited for
    _seen: set[int] = field(default_factory=set)

    def members(self) -> Iterator[int]:
        """Process ids, each once, parents before children; ended but not yet waited for included."""
        heads = [] if self.first is None else [self.first]
        others = _own_children() if self.adopting else everyone()
        return _with_descendants(itertools.chain(heads, (pid for pid in others if self._is_ours(pid))))

    def _is_ours(self, pid: int) -> bool:
        """An ended process may have lost its mark, but it was seen with it."""
        if pid in self._seen or self.mark.is_on(pid):
            self._seen.add(pid)
            return True
        return False

    def kill(self) -> Killed:
        """Kill all that is left, wait until it is gone, and take the exit status of adopted orphans.

        To be called after the first process was waited for. Exit statuses of children that are not of this run are
        left to whoever waits for them.
        """
        deadline = time.monotonic() + _PATIENCE_S
        struck: set[int] = set()
        count = 0
        with Hurry() as hurry:
            while True:
                look = self._strike(struck, hurry)
                count += look.fresh
                if not (look.fresh or look.reaped or look.dying):
                    return Killed(count=count)
                if time.monotonic() > deadline:
                    return Killed(count=count, stubborn=tuple(look.dying))
                # What multiplies must not gain time: wait only when nothing new was found.
                if not look.fresh and look.dying:
                    _wait_for_an_end(look.dying)

    def hold_to(self, most: int, hurry: Hurry) -> bool:
        """Kill them all when there are more than `most`; True when there were. No further is counted: a crowd that
        multiplies would be counted for ever. The first process is not waited for."""
        deadline = time.monotonic() + _PATIENCE_S
        for number, _ in enumerate(self.members(), start=1):
            if number == _CROWD:
                hurry.begin()
            if number > most:
                break
        else:
            return False
        struck: set[int] = set()
        while self._strike(struck, hurry).fresh and time.monotonic() < deadline:
            pass
        return True

    def most_cpu_s(self) -> float:
        """Processor time of the member that has used most, in seconds; those that it waited for are not counted."""
        return max(map(_cpu_s, self.members()), default=0.0)

    def _strike(self, struck: set[int], hurry: Hurry) -> _Look:
        """Go through the members once and SIGKILL each that is alive as soon as it is seen."""
        look = _Look()
        for pid in self.members():
            state = "alive" if pid == self.first else _state(pid)
            if state != "alive":
                look.reaped += state == "reaped"
                struck.discard(pid)  # the number may be given to another process
                continue
            look.dying.append(pid)
            if pid not in struck:
                struck.add(pid)
                look.fresh += 1
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
                if look.fresh == _CROWD:
                    hurry.begin()
        return look


class Hurry:
    """Lets this thread run before every ordinary process, where it may (root), until the block is left.

    A crowd that multiplies, each process in a session of its own, would otherwise leave it a crowd's share of the
    processor, and killing them would be a race that they win.
    """

    def __init__(self) -> None:
        self._usual: tuple[int, os.sched_param] | None = None

    def __enter__(self) -> Self:
        return self

    def begin(self) -> None:
        if self._usual is None:
            usual = os.sched_getscheduler(0), os.sched_getparam(0)
            with contextlib.suppress(PermissionError):
                os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
                self._usual = usual  # to be left as it was, also where even setting the usual again is forbidden

    def __exit__(self, *_: object) -> None:
        if self._usual is not None:
            os.sched_setscheduler(0, *self._usual)


@dataclass
class _Look:
    """What one way through the members found."""

    fresh: int = 0  # alive, and not killed before
    reaped: int = 0  # ended, our children, waited for now
    dying: list[int] = field(default_factory=list)  # killed now or before, and not gone


def signal_group(leader: int, number: signal.Signals) -> None:
    """Signal a whole process group in one step; nothing happens when it is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def children(pid: int) -> list[int]:
    """The process ids of a process's children, by all its threads."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    return [child for thread in threads for child in _children_of_thread(pid, thread)]


def _own_children() -> list[int]:
    """What this thread has started, and what this process has adopted.

    An orphan is given to the first living thread of the process that adopts it (exit.c, find_alive_thread), which is
    its main thread: the dozens of others need not be looked at after every suite.
    """
    process, thread = os.getpid(), threading.get_native_id()
    adopted = _children_of_thread(process, process)
    return adopted if thread == process else adopted + _children_of_thread(process, thread)


def _children_of_thread(pid: int, thread: int | str) -> list[int]:
    """By proc_pid_children(5); empty when it is gone."""
    try:
        opened = os.open(f"/proc/{pid}/task/{thread}/children", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        listed = b""
        while data := os.read(opened, _PAGE):
            listed += data
    except OSError:
        return []
    finally:
        os.close(opened)
    return [int(child) for child in listed.split()]


def everyone() -> Iterator[int]:
    """The id of every process but this one."""
    return (int(name) for name in os.listdir("/proc") if name.isdecimal() and int(name) != os.getpid())


def can_list_children() -> bool:
    """Does this kernel say who a process's children are (CONFIG_PROC_CHILDREN)?"""
    return Path(f"/proc/self/task/{os.getpid()}/children").exists()


def _with_descendants(pids: Iterable[int]) -> Iterator[int]:
    """Children are looked up after their parent was yielded, so what is done to it then is done before that."""
    seen: set[int] = set()
    for pid in pids:
        todo = [pid]
        while todo:
            current = todo.pop()
            if current not in seen:
                seen.add(current)
                yield current
                todo.extend(children(current))


def _state(pid: int) -> _State:
    """As our child, one that has ended is waited for; as another's, it is left to that one."""
    try:
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG) is not None
    except ChildProcessError:
        return "ended" if _letter(pid) in ("Z", "X", "") else "alive"
    return "reaped" if ended else "alive"


def _letter(pid: int) -> str:
    """The state of proc(5), "" when it is gone."""
    return _fields(pid)[0]


def _cpu_s(pid: int) -> float:
    """User and system time of proc(5), fields 14 and 15."""
    fields = _fields(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS if len(fields) > 12 else 0.0


def _fields(pid: int) -> list[str]:
    """What /proc/<pid>/stat says behind the name, from the third field on; one empty one when it is gone."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return [""]
    return status.rpartition(")")[2].split()


def _wait_for_an_end(pids: Iterable[int]) -> None:
    """Until one of them ends, or for a short while."""
    with contextlib.ExitStack() as stack:
        poll = select.poll()
        for pid in itertools.islice(pids, _WATCHED):
            with contextlib.suppress(OSError):  # gone in the meantime, or no descriptor is left
                handle = os.pidfd_open(pid)
                stack.callback(os.close, handle)
                poll.register(handle, select.POLLIN)
        poll.poll(_LOOK_AGAIN_MS)
