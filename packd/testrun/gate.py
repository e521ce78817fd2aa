"""A cell that is entered through a gate: the sandbox is made, then what will be the program waits in it until its limits
are set, its folder is filled and it is in its control group."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from packd.testrun.carry import Carrier, opened
from packd.testrun.limits import MIB
from packd.testrun.rlimits import put_on, resource_limits
from packd.testrun.sandbox import SandboxFailed, Spent
from packd.testrun.usage import LEAST, watched
from packd.testrun.view import SHM, TMP

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from packd.testrun.cgroup import Group
    from packd.testrun.sandbox import Order, Process
    from packd.testrun.system_files import Someone

_MAKING_TAKES_S: Final = 20.0  # the namespaces and mounts, on a busy machine
_GONE_S: Final = 10.0
# A crowd must not be stopped by the kernel before packd has seen that it is one, and can say so.
_PROCESS_MARGIN: Final = 32


@dataclass(frozen=True, kw_only=True)
class Inside:
    """The processes of a cell as this machine numbers them, while the program waits."""

    init: int  # the first one inside: nothing inside outlives it
    program: int
    others: tuple[int, ...] = ()  # what the rung itself started for it


class Gate(Protocol):
    """Where the program waits."""

    def start(self, order: Order, *, stdout: int, stderr: int, keep: Sequence[int]) -> Process:
        """See Cell."""
        ...

    def arrived(self, deadline: float) -> Inside:
        """Returns when it waits. `deadline` by time.monotonic. Raises SandboxFailed, OSError."""
        ...

    def leader(self) -> int | None:
        """The program's process group, once it runs."""
        ...

    def left(self) -> int:
        """How many processes the program left when it ended; 0 when it was killed together with them."""
        ...

    def has_cleared(self) -> bool:
        """Is it known that nothing of the program is alive?"""
        ...

    def open(self) -> None:
        """Let it run. Raises OSError."""
        ...

    def close(self) -> None:
        """Nothing is said any more."""
        ...


@dataclass(kw_only=True)
class GatedCell:
    """See Cell. Made by a rung, which says what its gate is."""

    order: Order
    gate: Gate
    own_processes: int
    someone: Someone | None = None  # whom the program becomes, where the rung is started by root
    group: Group | None = None  # its control group
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _init: int | None = None  # a pidfd of the first process inside
    _private: int | None = None  # the folder inside that is `order.private`
    _spaces: list[int] = field(default_factory=list)  # folders of limited size
    _inodes: int = 0  # that they held to begin with
    _left: int = 0  # processes
    _full: bool = False
    _overfull: bool = False

    def __enter__(self) -> GatedCell:
        self._stack.callback(self.gate.close)
        self._usage = watched(self.order)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, order: Order, *, stdout: int, stderr: int, keep: Sequence[int]) -> Process:
        """See Cell."""
        return self.gate.start(order, stdout=stdout, stderr=stderr, keep=keep)

    @property
    def leader(self) -> int | None:
        """See Cell."""
        return self.gate.leader()

    # --- entering ----------------------------------------------------------------------------------------------------

    def enter(self) -> None:
        """See Cell."""
        try:
            inside = self.gate.arrived(time.monotonic() + _MAKING_TAKES_S)
            self._init = os.pidfd_open(inside.init)
            self._stack.callback(os.close, self._init)
            self._limit(inside)
            self._open_folders(inside.init)
            self._fill()
            self._inodes = self._count()
            self.gate.open()
        except SandboxFailed:
            raise
        except OSError as trouble:
            raise SandboxFailed(f"the sandbox could not be made ready: {trouble}") from trouble

    def _limit(self, inside: Inside) -> None:
        order = self.order
        wall = order.limits.processes and order.limits.processes + self.own_processes + _PROCESS_MARGIN
        limits = resource_limits(order.limits, order.mark, processes=wall or None)
        put_on(inside.program, limits)
        others = {*inside.others, inside.init} - {inside.program}
        for other in others:
            put_on(other, {name: pair for name, pair in limits.items() if name == "rttime"})
        if self.group is not None:
            self.group.limit(order.limits, wall or None)
            for member in (*others, inside.program):
                self.group.add(member)

    def _open_folders(self, init: int) -> None:
        """They stay reachable by their descriptors after all else of the sandbox is gone."""

        def inside(path: Path) -> int:
            descriptor = os.open(f"/proc/{init}/root{path}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._stack.callback(os.close, descriptor)
            self._spaces.append(descriptor)
            return descriptor

        if self.order.private is not None:
            self._private = inside(self.order.private)
        for path in (TMP, SHM):
            inside(path)

    def _fill(self) -> None:
        if self.order.private is None or self._private is None:
            return
        owner = (self.someone.uid, self.someone.gid) if self.someone else None
        if self.order.fill is not None:
            self.order.fill(self._private, owner)
        else:
            with opened(self.order.private) as source:
                Carrier(owner=owner, fresh=True).carry(source, self._private)
        if owner is not None:
            os.fchown(self._private, *owner)

    # --- during ------------------------------------------------------------------------------------------------------

    def is_overfull(self) -> bool:
        """See Cell."""
        if self._private is None and self._usage is not None and self._usage.exceeds():
            self._overfull = True
        elif self._spaces:
            inodes = self._count()
            most = self.order.limits.disk_mb * MIB // LEAST
            self._overfull = self._overfull or bool(most and inodes - self._inodes > most)
        return self._overfull

    def _count(self) -> int:
        """Files, folders and links; and was there a folder without room?"""
        inodes = 0
        for space in self._spaces:
            status = os.fstatvfs(space)
            self._full = self._full or status.f_bavail == 0
            inodes += status.f_files - status.f_ffree
        return inodes

    # --- after -------------------------------------------------------------------------------------------------------

    def clear(self) -> bool:
        """See Cell. The kernel ends all processes of the sandbox before its first one is gone (pid_namespaces(7))."""
        self._left = self.gate.left()
        has_cleared = self.gate.has_cleared()
        self.gate.close()
        if self._init is None:
            return False
        gone = has_cleared or self._end(self._init)
        self.is_overfull()
        if gone and self._private is not None and self.order.private is not None and self.order.returns:
            self._bring_back(self._private, self.order.private)
        return gone

    def _end(self, init: int) -> bool:
        """False when it is not gone after a while."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(init, signal.SIGKILL)
        poll = select.poll()
        poll.register(init, select.POLLIN)
        return bool(poll.poll(_GONE_S * 1000))

    def _bring_back(self, inside: int, private: Path) -> None:
        try:
            private.mkdir(mode=0o700, exist_ok=True)
            with opened(private) as target:
                carrier = Carrier()
                for path in self.order.returns:
                    part = path.relative_to(private)
                    if not part.parts or not carrier.carry_part(inside, target, part):
                        carrier.carry(inside, target)
                        return
        except OSError as trouble:
            raise ValueError(f"what it wrote can't be read: {trouble}") from trouble

    def spent(self) -> Spent:
        """See Cell."""
        counted = self.group.spent() if self.group is not None else Spent()
        return Spent(
            oom_kills=counted.oom_kills,
            forks_refused=counted.forks_refused,
            memory_peak=counted.memory_peak,
            disk_full=self._full,
            overfull=self._overfull,
            left=self._left,
        )
