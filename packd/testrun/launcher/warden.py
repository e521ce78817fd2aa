"""Stands inside of walls that bubblewrap made, and lets one program after another run there, each in a cell of its own.

    python -I -S warden.py DESCRIPTOR          its stdin is the line to packd; see packd.testrun.walls

DESCRIPTOR holds JSON: folders that only the warden itself needed to be seen, what is mounted for each program, whom
programs become, or by which numbers they know the user that they stay, what they may ask of the kernel, and which
processors are for the warden and for them. The walls are the view of the machine and the namespaces that no program could
change; what a program could change, or leave behind for the next one, is made anew for each: its processes, its mounts, the
folders that it may write to, and what it shares by System V's or POSIX's means.

A cell is made before it is asked for: a moment after the program in the one before has ended, when packd had the processor
for what follows from that, or when the program takes its time. Programs never run side by side. The first
process in its namespace of processes, whose end is that of all that is in there, gives everything up and says a word on the
line; then it takes a request from there, and another word when the program may run, starts it, sees to it that nothing of
it is left, and says how it ended. What it is held to by then, the program is held to.
"""

from __future__ import annotations

import array
import fcntl
import gc
import json
import os
import select
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
_TIMES = 8  # until code has adapted
_SHORT_MS = 20  # several times what a small suite takes
_REST_MS = 15  # several times what packd needs for what follows, unless it says that the next cell is needed
_SOON = b"soon"  # how it says so
_TAKEN_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)  # which it ignores; a program has them as usual
_CANT_BE_RUN = 127  # as a shell says it


def main() -> None:
    with os.fdopen(int(sys.argv[1]), "rb") as file:
        walls: dict[str, Any] = json.load(file)
    _keep_all_to_itself()
    kernel.die_with_parent(signal.SIGKILL)
    for path in walls["only_for_warden"]:  # all that this program needs of it is loaded by now
        kernel.detach(path)
    if not walls["known_as"]:
        _forbid_nested_users_here()
    kernel.drop_bounding_set()
    _be_on(walls["processors"]["own"])
    _rehearse()
    gc.freeze()
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
    while True:
        kernel.unshare(kernel.CLONE_NEWPID)  # for what is forked now, not for this process
        hearing, saying = os.pipe2(os.O_CLOEXEC)
        if os.fork() == 0:
            os.close(own)
            os.close(hearing)
            _guarded(partial(_first, walls, saying))
        kernel.enter_namespace(own, kernel.CLONE_NEWPID)
        os.close(saying)
        if not os.read(hearing, 1):
            return  # it could not be made, or packd is gone
        os.close(hearing)


# --- the first process inside ----------------------------------------------------------------------------------------


def _first(walls: dict[str, Any], taken: int) -> int:
    """Makes the cell, starts the program, and takes the exit status of every orphan in there."""
    kernel.die_with_parent(signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWIPC)
    _make_own(walls)
    if walls["known_as"]:
        kernel.be_known_as(*walls["known_as"])
        kernel.drop_bounding_set()  # a new user namespace begins with every right
        kernel.forbid_nested_users()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # from inside nothing reaches it but what it has a handler for
    if walls["user"] is not None:
        os.setgroups([])
        os.setgid(walls["group"])
        os.setuid(walls["user"])
    kernel.no_more_rights()
    kernel.hide_from_own_user()
    kernel.filter_calls(bytes.fromhex(walls["filter"]))
    line = socket.socket(fileno=_LINE)
    line.send(b"vacant")
    request, descriptors = _received(line)
    if request is None or not line.recv(1):
        return 1
    _be_on(walls["processors"]["all"])
    program = _started(request, descriptors)
    is_short = program is None or _ends_soon(program)
    if not is_short:
        os.write(taken, b"t")  # what is said on the line from now on, but for how this one ended, is for the next one
    status = _CANT_BE_RUN if program is None else _status_of(program)
    _end_all_others()
    line.send(b"ended %d" % status)
    if is_short:
        _is_readable(_LINE, _REST_MS)  # a rest, unless the next cell is needed
        os.write(taken, b"t")
    return 0


def _started(request: dict[str, Any], descriptors: list[int]) -> int | None:
    """The program's process; None when there is no such thing, which it says itself.

    Not by subprocess: each cell would run its code once, and copy every page that this touches.
    """
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FREE) for descriptor in descriptors]
    out, err, *kept = moved
    places = request["keep"]
    for place, descriptor in zip(places, kept, strict=True):  # the program expects them there
        os.dup2(descriptor, place)
    streams = (
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDWR, 0),
        (os.POSIX_SPAWN_DUP2, out, 1),
        (os.POSIX_SPAWN_DUP2, err, 2),
    )
    argv = request["argv"]
    try:
        os.chdir(request["cwd"])  # this process is nowhere else
        path = _found(argv[0], request["env"])
        program = os.posix_spawn(
            path, argv, request["env"], file_actions=streams, setsid=True, setsigdef=_TAKEN_BY_PYTHON
        )
    except OSError as trouble:
        os.write(err, f"{argv[0]}: {trouble.strerror}\n".encode())
        return None
    for descriptor in (*descriptors, *moved, *places):
        if descriptor > 2:
            _close(descriptor)
    return program


def _found(name: str, environ: dict[str, str]) -> str:
    """A program's path, as a shell finds it."""
    if "/" in name:
        return name
    places = (os.path.join(folder, name) for folder in os.get_exec_path(environ))
    return next((place for place in places if os.access(place, os.X_OK)), name)


def _ends_soon(pid: int) -> bool:
    """Waits a little for it."""
    handle = os.pidfd_open(pid)
    ended = _is_readable(handle, _SHORT_MS)
    os.close(handle)
    return ended


def _is_readable(descriptor: int, within_ms: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(within_ms))


def _status_of(pid: int) -> int:
    """How the program ended, as a shell says it; orphans that end before it are nobody's."""
    while True:
        ended, status = os.wait()
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _make_own(walls: dict[str, Any]) -> None:
    """Over what the walls have in the same places; nobody but the program's own processes will see it."""
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    for part in _CLOSED_PARTS:
        if os.access(f"/proc/{part}", os.W_OK) and not walls["known_as"]:  # else nothing in there is for it to write
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


def _received(line: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    size, message = socket.CMSG_SPACE(_MOST_DESCRIPTORS * 4), _SOON
    while message == _SOON:  # which was for the one before
        message, ancillary, _, _ = line.recvmsg(_LARGEST, size, socket.MSG_CMSG_CLOEXEC)
    numbers = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
    return (json.loads(message) if message else None), list(numbers)


def _rehearse() -> None:
    """The interpreter adapts its code when it has run a few times (PEP 659): here once, not in a copy for each cell."""
    request = json.dumps({"argv": ["/bin/true"], "cwd": "/", "env": {"PATH": "/bin"}, "keep": []})
    for _ in range(_TIMES):
        nothing = os.open("/dev/null", os.O_RDWR)
        program = _started(json.loads(request), [nothing, nothing])
        if program is not None:
            _ends_soon(program)
            _status_of(program)


def _forbid_nested_users_here() -> None:
    kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    kernel.forbid_nested_users()
    kernel.detach("/proc")


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


def _end_all_others() -> None:
    """When this returns, nothing that the program left is alive."""
    try:
        os.kill(-1, signal.SIGKILL)
        while True:
            os.wait()
    except (ProcessLookupError, ChildProcessError):
        return


def _keep_all_to_itself() -> None:
    """What it was given goes to no program, but for what is handed on by name."""
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor > 2:
            try:
                os.set_inheritable(descriptor, False)
            except OSError:  # that of the list
                continue


def _be_on(processors: list[int]) -> None:
    try:
        os.sched_setaffinity(0, processors)
    except OSError:  # the machine has lost them
        return


def _close(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:  # named twice
        return


if __name__ == "__main__":
    main()
