"""Walls that stand, and the cell in them: what is said to the warden, and what it says; see `launcher/warden.py`."""

from __future__ import annotations

import array
import contextlib
import os
import select
import signal
import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from packd.testrun.gate import Inside
from packd.testrun.processes import children
from packd.testrun.sandbox import SandboxFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packd.testrun.sandbox import Child, Order
    from packd.testrun.shell_gate import ShellGate
    from packd.testrun.view import Mount

_VACANT: Final = b"vacant"
_ENDED: Final = b"ended "
_SOON: Final = b"soon"  # the next cell is needed; otherwise the warden takes a rest before it makes it
_ENDING_TAKES_S: Final = 5.0
_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid: struct ucred of unix(7)


@dataclass(frozen=True, kw_only=True)
class Vacancy:
    """A cell that waits for a program."""

    init: int  # its first process, which starts the program
    handle: int  # a pidfd of that


class Ended(NamedTuple):
    """The end of a program in a cell."""

    status: int  # as a shell says it; below 0: the error for which it could not be started, and the machine is to blame
    left: int  # processes that it left running, and that were killed


class Walls:
    """One sandbox with its warden, who has one cell at a time."""

    def __init__(self, mounts: Sequence[Mount], *, gate: ShellGate, line: socket.socket, warden: Child) -> None:
        """Not to be used before `begun`."""
        self.line = line
        self._sources = tuple((mount.source, _identity(mount.source)) for mount in mounts if mount.kind == "read")
        self._gate = gate
        self._warden = warden
        self._init: int | None = None  # a pidfd of the first process inside: without it nothing of them stands
        self._vacancy: Vacancy | None = None
        self._endings: dict[int, Ended] = {}
        self.served = False  # there was a cell in them once

    def begun(self, deadline: float) -> None:
        """The sandbox is being made, and knows its users. Raises OSError."""
        self._init = os.pidfd_open(self._gate.first_inside(deadline, self.line))

    def still_stand(self) -> bool:
        """Does the warden live, and is what they show still what lies at its place?"""
        return self._warden.wait(0) is None and all(_identity(path) == seen for path, seen in self._sources)

    def vacancy(self, wait_s: float = 0.0) -> Vacancy | None:
        """The cell to be taken now, if there is one, or will be within `wait_s`. Raises OSError."""
        deadline = time.monotonic() + wait_s
        if self._vacancy is not None and _is_over(self._vacancy.handle):
            os.close(self._vacancy.handle)
            self._vacancy = None
        if self._vacancy is None and wait_s and not _has_said(self.line, 0.0):
            self.line.send(_SOON)
        while self._vacancy is None and _has_said(self.line, deadline):
            self._listen()
        return self._vacancy

    def ending(self, init: int) -> Ended | None:
        """How the program of the cell with this first process ended; None as long as that was not said. Raises OSError."""
        while init not in self._endings and _has_said(self.line, time.monotonic()):
            self._listen()
        return self._endings.get(init)

    def _listen(self) -> None:
        word, pid = _heard(self.line)
        if word == _VACANT:
            self._vacancy = Vacancy(init=pid, handle=os.pidfd_open(pid))
            self.served = True
        elif word.startswith(_ENDED):
            status, left = word.removeprefix(_ENDED).split()
            self._endings = {pid: Ended(int(status), int(left))}  # of the only one that has a program

    def taken(self) -> None:
        """The vacancy is somebody's now, who closes its handle."""
        self._vacancy = None

    def close(self) -> None:
        """Returns when nothing of them is left."""
        if self._vacancy is not None:
            os.close(self._vacancy.handle)
        self.line.close()
        self._gate.close()
        if self._init is not None:
            _kill(self._init)  # bubblewrap waits for it, and ends with it
            os.close(self._init)
        else:
            self._warden.kill()
        if self._warden.wait(_ENDING_TAKES_S) is None:
            self._warden.kill()
            self._warden.wait(_ENDING_TAKES_S)


class Inmate:
    """See Process: the first process of a cell, which says how the program ended when nothing of that is left."""

    def __init__(self, vacancy: Vacancy, walls: Walls) -> None:
        self.pid = vacancy.init
        self.handles = (walls.line.fileno(), vacancy.handle)
        self._handle = vacancy.handle
        self._walls = walls

    def kill(self) -> None:
        _kill(self._handle)

    def is_over(self) -> bool:
        return self.has_told() or _is_over(self._handle)

    def has_told(self) -> bool:
        """Has it said how the program ended?"""
        return self.ended() is not None

    def ended(self) -> Ended | None:
        """How the program ended, and what it left; None as long as that was not said."""
        with contextlib.suppress(OSError):
            return self._walls.ending(self.pid)
        return None

    def wait(self, timeout_s: float | None) -> int | None:
        """See Process. Raises SandboxFailed when the machine could not start the program."""
        poll = select.poll()
        for handle in self.handles:
            poll.register(handle, select.POLLIN)
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self.is_over():
            if deadline is not None and time.monotonic() >= deadline:
                return None
            poll.poll(None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000)
        ended = self.ended()
        if ended is not None and ended.status < 0:
            raise SandboxFailed(-ended.status, os.strerror(-ended.status))
        return -signal.SIGKILL if ended is None else ended.status


class WardenGate:
    """See Gate: the program waits for a word from here."""

    def __init__(self, walls: Walls, vacancy: Vacancy) -> None:
        self._walls = walls
        self._vacancy = vacancy
        self._inmate: Inmate | None = None

    def start(self, order: Order, *, stdout: int, stderr: int, keep: Sequence[int]) -> Inmate:
        """See Gate."""
        request = _request(order, keep)  # what can't be asked for leaves the cell to the next one
        self._walls.taken()
        if order.private is not None:  # its room is there already
            Path(f"/proc/{self._vacancy.init}/root{order.private}").mkdir(mode=0o755)
        descriptors = array.array("i", [stdout, stderr, *keep])
        with_it = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
        self._walls.line.sendmsg([request], with_it)
        self._inmate = Inmate(self._vacancy, self._walls)
        return self._inmate

    def arrived(self, deadline: float) -> Inside:
        """See Gate. What will start the program has been waiting, and is held to what the program is held to."""
        return Inside(init=self._vacancy.init, program=self._vacancy.init)

    def leader(self) -> int | None:
        """See Gate."""
        return next(iter(children(self._vacancy.init)), None)

    def left(self) -> int:
        """See Gate."""
        ended = None if self._inmate is None else self._inmate.ended()
        return 0 if ended is None else ended.left

    def has_cleared(self) -> bool:
        """See Gate."""
        return self._inmate is not None and self._inmate.has_told()

    def open(self) -> None:
        """See Gate."""
        self._walls.line.send(b"\n")

    def close(self) -> None:
        """See Gate."""
        if self._inmate is not None:
            self._inmate = None
            os.close(self._vacancy.handle)


def _request(order: Order, keep: Sequence[int]) -> bytes:
    """See `launcher/cell.py`. Raises ValueError for what no program can be given."""
    env = {**order.env, "PWD": str(order.cwd)}
    pairs = [word for pair in env.items() for word in pair]
    words = (str(order.cwd), ",".join(map(str, keep)), str(len(order.argv)), *order.argv, *pairs)
    request = "\0".join(words)
    if request.count("\0") >= len(words):
        raise ValueError("embedded null byte")
    return os.fsencode(request)


def _is_over(handle: int) -> bool:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(0))


def _kill(handle: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        signal.pidfd_send_signal(handle, signal.SIGKILL)


def _identity(path: Path | None) -> tuple[int, int] | None:
    try:
        seen = os.stat(path or "")  # noqa: PTH116  for every program
    except OSError:
        return None
    return seen.st_dev, seen.st_ino


def _has_said(line: socket.socket, deadline: float) -> bool:
    poll = select.poll()
    poll.register(line, select.POLLIN)
    return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))


def _heard(line: socket.socket) -> tuple[bytes, int]:
    """A word, and the number of the process that said it, as this machine counts: by the kernel (unix(7)).

    Raises OSError when there is nobody any more.
    """
    said, ancillary, _, _ = line.recvmsg(64, socket.CMSG_SPACE(_CREDENTIALS.size))
    for _, kind, data in ancillary:
        if said and kind == socket.SCM_CREDENTIALS:
            return said, int(_CREDENTIALS.unpack(data[: _CREDENTIALS.size])[0])
    raise OSError("the warden is gone")
