"""A cell that is entered through a gate: the sandbox is made, then a shell in it waits until its limits are set, its
folder is filled and it is in its control group; only then the program takes the shell's place."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packd.testrun.carry import Carrier, opened
from packd.testrun.limits import MIB
from packd.testrun.processes import children
from packd.testrun.rlimits import put_on, resource_limits
from packd.testrun.sandbox import SandboxFailed, Spent
from packd.testrun.usage import watched
from packd.testrun.view import SHM, TMP

if TYPE_CHECKING:
    from packd.testrun.cgroup import Group
    from packd.testrun.sandbox import Order
    from packd.testrun.system_files import Someone

# The shell is nobody's but packd's until `exec`. It speaks through its stdin, which the program does not get.
_GATE: Final = 'echo >&0 && read -r _ && cd "$1" && unset OLDPWD && shift && exec "$@" </dev/null'
_MAKING_TAKES_S: Final = 20.0  # the namespaces and mounts, on a busy machine
_GONE_S: Final = 10.0
_INODES: Final = 200_000  # files, folders and links of a suite at most, and one for each so many bytes of its limit:
_BYTES_A_FILE: Final = 4096
# A crowd must not be stopped by the kernel before packd has seen that it is one, and can say so.
_PROCESS_MARGIN: Final = 32


@dataclass(kw_only=True)
class GatedCell:
    """See Cell. Made by a rung, which says how it is started."""

    order: Order
    own_processes: int
    someone: Someone | None = None  # whom the program becomes, where the rung is started by root
    maps: bool = False  # user ids are mapped from here, before anything else
    group: Group | None = None  # its control group
    command: list[str] = field(default_factory=list)
    keep: list[int] = field(default_factory=list)
    leader: int | None = None
    stdin: int = -1
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _theirs: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)  # ends that only they keep
    _init: int | None = None  # a pidfd of the first process inside: nothing inside outlives it
    _private: int | None = None  # the folder inside that is `order.private`
    _spaces: list[int] = field(default_factory=list)  # folders of limited size
    _given: int = 0  # files, folders and links that it began with
    _full: bool = False

    def __enter__(self) -> GatedCell:
        ours, theirs = socket.socketpair()
        self._talk = self._stack.enter_context(ours)
        self._theirs.enter_context(theirs)
        self.stdin = theirs.fileno()
        reading, writing = os.pipe2(os.O_CLOEXEC)
        self._stack.callback(os.close, reading)
        self._theirs.callback(os.close, writing)
        self._info, self.info = reading, writing
        self.keep.append(writing)
        self._usage = watched(self.order)
        return self

    def __exit__(self, *_: object) -> None:
        self._theirs.close()
        self._stack.close()

    def hand(self, content: bytes) -> int:
        """A descriptor that they can read this from."""
        descriptor = os.memfd_create("packd", os.MFD_CLOEXEC)
        self._theirs.callback(os.close, descriptor)
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        self.keep.append(descriptor)
        return descriptor

    def through_the_gate(self, setpriv: str | None) -> list[str]:
        """What the rung has to run inside."""
        drop: list[str] = []
        if self.someone is not None and setpriv is not None:
            drop = [setpriv, f"--reuid={self.someone.uid}", f"--regid={self.someone.gid}", "--clear-groups", "--"]
        return ["/bin/sh", "-c", _GATE, "sh", str(self.order.cwd), *drop, *self.order.argv]

    # --- entering ----------------------------------------------------------------------------------------------------

    def enter(self, pid: int) -> None:
        """See Cell."""
        self._theirs.close()
        try:
            self._enter(pid)
        except SandboxFailed:
            raise
        except OSError as trouble:
            raise SandboxFailed(f"the sandbox could not be made ready: {trouble}") from trouble

    def _enter(self, pid: int) -> None:
        deadline = time.monotonic() + _MAKING_TAKES_S
        init = self._hear_of_init(deadline)
        self._init = os.pidfd_open(init)
        self._stack.callback(os.close, self._init)
        if self.maps:
            self._map_users(init)
            self._talk.sendall(b"m")
        self._hear_ready(deadline)
        first = children(init)
        if len(first) != 1:
            raise SandboxFailed("the sandbox ended while it was made")
        self.leader = os.getpgid(first[0])
        self._limit(pid, init, first[0])
        self._open_folders(init)
        self._fill()
        self._given = self._inodes()
        self._talk.sendall(b"\n")
        self._talk.close()

    def _hear_of_init(self, deadline: float) -> int:
        said = b""
        while not said.rstrip().endswith(b"}"):
            self._wait(self._info, deadline)
            data = os.read(self._info, 4096)
            if not data:
                raise SandboxFailed("the sandbox could not be made")
            said += data
        return int(json.loads(said)["child-pid"])

    def _hear_ready(self, deadline: float) -> None:
        self._wait(self._talk.fileno(), deadline)
        if not self._talk.recv(1):
            raise SandboxFailed("the sandbox could not be made")

    def _wait(self, descriptor: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise SandboxFailed(f"the sandbox was not made within {_MAKING_TAKES_S:g} s")

    def _map_users(self, init: int) -> None:
        """Root, who makes the sandbox, and whom the program becomes."""
        who = self.someone
        for kind, number in (("uid", who.uid if who else 0), ("gid", who.gid if who else 0)):
            lines = "0 0 1\n" + (f"{number} {number} 1\n" if number else "")
            Path(f"/proc/{init}/{kind}_map").write_text(lines)

    def _limit(self, pid: int, init: int, first: int) -> None:
        order = self.order
        wall = order.limits.processes and order.limits.processes + self.own_processes + _PROCESS_MARGIN
        limits = resource_limits(order.limits, order.mark, processes=wall or None)
        put_on(first, limits)
        for other in (pid, init):
            put_on(other, {name: pair for name, pair in limits.items() if name == "rttime"})
        if self.group is not None:
            self.group.limit(order.limits, wall or None)
            for member in (pid, init, first):
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
        with opened(self.order.private) as source:
            Carrier(owner=owner).carry(source, self._private)
        if owner is not None:
            os.fchown(self._private, *owner)

    # --- during ------------------------------------------------------------------------------------------------------

    def is_overfull(self) -> bool:
        """See Cell."""
        if self._private is None and self._usage is not None and self._usage.exceeds():
            return True
        if any(os.fstatvfs(space).f_bavail == 0 for space in self._spaces):
            self._full = True
        limit = self.order.limits.disk_mb * MIB // _BYTES_A_FILE or _INODES
        return self._inodes() - self._given > min(limit, _INODES)

    def _inodes(self) -> int:
        """Files, folders and links in the folders of limited size."""
        counted = map(os.fstatvfs, self._spaces)
        return sum(status.f_files - status.f_ffree for status in counted)

    # --- after -------------------------------------------------------------------------------------------------------

    def clear(self) -> None:
        """See Cell. The kernel ends all processes of the sandbox before its first one is gone (pid_namespaces(7))."""
        self._theirs.close()
        if self._init is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(self._init, signal.SIGKILL)
        poll = select.poll()
        poll.register(self._init, select.POLLIN)
        gone = poll.poll(_GONE_S * 1000)
        self.is_overfull()
        if gone and self._private is not None and self.order.private is not None and self.order.returns:
            self._bring_back(self._private, self.order.private)

    def _bring_back(self, inside: int, private: Path) -> None:
        try:
            with opened(private) as target:
                carrier = Carrier()
                for path in self.order.returns:
                    part = path.relative_to(private)
                    if not part.parts or not carrier.carry_part(inside, target, part):
                        carrier.carry(inside, target)
                        return
        except OSError as trouble:
            raise SandboxFailed(f"what it wrote can't be read: {trouble}") from trouble

    def spent(self) -> Spent:
        """See Cell."""
        counted = self.group.spent() if self.group is not None else Spent()
        return Spent(
            oom_kills=counted.oom_kills,
            forks_refused=counted.forks_refused,
            memory_peak=counted.memory_peak,
            disk_full=self._full,
        )
