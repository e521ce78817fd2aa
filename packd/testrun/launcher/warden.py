"""Stands inside of walls that bubblewrap made, and lets one program after another run there, each in a cell of its own.

    python -I -S warden.py DESCRIPTOR          its stdin is the line to packd; see packd.testrun.walls

DESCRIPTOR holds JSON: folders that only the warden itself needed to be seen, and what is mounted for each program. The
walls are the view of the machine and the namespaces that no program could change; what a program could change, or leave
behind for the next one, is made anew for each: its processes, its mounts, the folders that it may write to, and what it
shares by System V's or POSIX's means.

A cell is made before it is asked for, with two processes: the first in its namespace of processes, whose end is that of
all that is in there, and the one that will be the program. Both say a word on the line when the cell is vacant; the
second then takes a request from the line, and another word when it may run. The first says how it ended.
"""

from __future__ import annotations

import array
import errno
import fcntl
import json
import os
import signal
import socket
import sys
from functools import partial
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import kernel  # type: ignore[import-not-found]

_LINE = 0
_LARGEST = 1 << 18  # bytes of a request: the command line and the whole environment
_MOST_DESCRIPTORS = 64
_FREE = 512  # from here on numbers of descriptors are nobody's
_CLOSED_PARTS = ("sys", "sysrq-trigger", "irq", "bus")  # of /proc, as bubblewrap closes them
_CANT_BE_RUN = 127  # as a shell says it


def main() -> None:
    with os.fdopen(int(sys.argv[1]), "rb") as file:
        walls: dict[str, Any] = json.load(file)
    kernel.die_with_parent(signal.SIGKILL)
    for path in walls["only_for_warden"]:  # all that this program needs of it is loaded by now
        kernel.detach(path)
    kernel.forbid_nested_users()
    kernel.drop_bounding_set()
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    while True:
        kernel.unshare(kernel.CLONE_NEWPID)  # for what is forked now, not for this process
        first = os.fork()
        if first == 0:
            os.close(own)
            _guarded(partial(_first, walls))
        kernel.enter_namespace(own, kernel.CLONE_NEWPID)
        if os.waitpid(first, 0)[1]:
            return  # it could not be made, or packd is gone


# --- the first process inside ----------------------------------------------------------------------------------------


def _first(walls: dict[str, Any]) -> int:
    """Makes the cell, and takes the exit status of every orphan in it."""
    kernel.die_with_parent(signal.SIGKILL)
    os.setsid()
    kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWIPC)
    _make_own(walls)
    line = socket.socket(fileno=_LINE)
    line.send(b"first")
    program = os.fork()
    if program == 0:
        _guarded(partial(_become, walls, line))
    kernel.no_more_rights()
    while True:
        pid, status = os.wait()
        if pid == program:
            line.send(b"ended %d" % _status(status))
            return 0


def _make_own(walls: dict[str, Any]) -> None:
    """Over what the walls have in the same places; nobody but the program's own processes will see it."""
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    for part in _CLOSED_PARTS:
        if os.path.exists(f"/proc/{part}"):
            kernel.bind(f"/proc/{part}", f"/proc/{part}")
            kernel.restrict(f"/proc/{part}", read_only=True, below=False)
    usual = os.umask(0o022)
    covered = [(path, os.open(path, os.O_PATH | os.O_CLOEXEC)) for path in walls["below_own"]]
    for mount in walls["own"]:
        os.makedirs(mount["path"], 0o755, exist_ok=True)
        kernel.tmpfs(mount["path"], size=mount["size"], mode=mount["mode"])
    for path, descriptor in covered:
        kernel.make_place(f"/proc/self/fd/{descriptor}", path)
        kernel.bind(f"/proc/self/fd/{descriptor}", path)
        os.close(descriptor)
    os.umask(usual)


# --- the program -----------------------------------------------------------------------------------------------------


def _become(walls: dict[str, Any], line: socket.socket) -> int:
    """Give everything up, wait until there is something to run and packd has made all ready, then be the program."""
    os.setsid()
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):  # Python's own wishes
        signal.signal(number, signal.SIG_DFL)
    if walls["user"] is not None:
        os.setgroups([])
        os.setgid(walls["group"])
        os.setuid(walls["user"])
    kernel.no_more_rights()
    kernel.filter_calls(bytes.fromhex(walls["filter"]))
    line.send(b"program")
    request, descriptors = _received(line)
    if request is None:
        return 1
    _take_places(request["places"], descriptors)
    if not line.recv(1):
        return 1
    os.dup2(os.open("/dev/null", os.O_RDONLY), line.detach())
    try:
        os.chdir(request["cwd"])
        os.execvpe(request["argv"][0], request["argv"], request["env"])  # noqa: S606
    except OSError as trouble:
        sys.stderr.write(f"{request['argv'][0]}: {os.strerror(trouble.errno or errno.ENOENT)}\n")
    return _CANT_BE_RUN


def _received(line: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    size = socket.CMSG_SPACE(_MOST_DESCRIPTORS * 4)
    message, ancillary, _, _ = line.recvmsg(_LARGEST, size, socket.MSG_CMSG_CLOEXEC)
    numbers = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
    return (json.loads(message) if message else None), list(numbers)


def _take_places(places: list[int], descriptors: list[int]) -> None:
    """The descriptors that it is given, under the numbers that it expects. All others are closed when it begins."""
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FREE) for descriptor in descriptors]
    for place, descriptor in zip(places, moved, strict=True):
        os.dup2(descriptor, place)


# --- small things ----------------------------------------------------------------------------------------------------


def _guarded(work: Any) -> None:
    """A forked process never goes back to where its parent goes on."""
    code = 1
    try:
        code = work()
    except BaseException as trouble:
        sys.stderr.write(f"{trouble}\n")
    finally:
        sys.stderr.flush()
        os._exit(code)


def _status(status: int) -> int:
    """As a shell says it: 128 + N for signal N."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    main()
