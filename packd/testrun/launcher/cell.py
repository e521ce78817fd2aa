"""A cell: what is made anew for each program that runs inside of walls that stand; see warden.py.

Who makes one is a copy of the warden's process, and whatever memory Python touches in there is copied for it: that takes
longer than the system calls do. So all that can be known before is made ready before, and what is left for the copy is short.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import socket
from functools import partial

import kernel  # type: ignore[import-not-found]

TYPE_CHECKING = False  # typing takes long to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

_LARGEST = 1 << 18  # bytes of a request: the command line and the whole environment
_DESCRIPTORS = socket.CMSG_SPACE(64 * 4)  # room for as many
_FREE = 512  # from here on numbers of descriptors are nobody's
_CLOSED_PARTS = ("sys", "sysrq-trigger", "irq", "bus")  # of /proc, as bubblewrap closes them
_TIMES, _STEPS = 8, 16  # until code has adapted
_SHORT_MS = 20  # several times what a small suite takes
_REST_MS = 15  # several times what packd needs for what follows, unless it says that the next cell is needed
_SOON = b"soon"  # how it says so
_TAKEN_BY_PYTHON = (int(signal.SIGPIPE), int(signal.SIGXFSZ))  # which it ignores; a program has them as usual
_TO_DEVICE = (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDWR, 0)
_CANT_BE_RUN = 127  # as a shell says it
_OF_THE_MACHINE = (errno.EAGAIN, errno.ENFILE, errno.EIO)  # it has too many processes or files, or a disk that fails


class Cells:
    """What all cells in the same walls have in common: made once, by the warden."""

    def __init__(self, making: Iterable[Callable[[], object]], line: socket.socket, everywhere: list[int]) -> None:
        """`making`: the steps to be made in the process that the cell begins with; `line` leads to packd; `everywhere`:
        the processors for programs."""
        self._making = tuple(making)
        self._line = line
        self._everywhere = everywhere
        self._request = bytearray(_LARGEST)

    def serve(self, taken: int) -> int:
        """In the first process inside: make the cell, start the program, and take the exit status of every orphan in there.

        `taken` is told when the next cell may be made.
        """
        request, descriptors = self.asked()
        if not request:
            return 1
        status, is_short = self._carried_out(request, descriptors, taken)
        left = _end_all_others()
        self._line.send(b"ended %d %d" % (status, left))
        if is_short:
            _is_readable(self._line.fileno(), _REST_MS)  # a rest, unless the next cell is needed
            os.write(taken, b"t")
        return 0

    def asked(self) -> tuple[bytes, list[int]]:
        """What is to run in the cell, once it is there, and may; nothing when packd is gone."""
        for step in self._making:
            step()
        self._line.send(b"vacant")
        request = _SOON
        while request == _SOON:  # which was for the one before
            size, ancillary, _, _ = self._line.recvmsg_into([self._request], _DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
            request = bytes(self._request[:size])
        if not self._line.recv(1):
            return b"", []
        return request, [number for _, _, data in ancillary for number in memoryview(data).cast("i")]

    def _carried_out(self, request: bytes, descriptors: list[int], taken: int) -> tuple[int, bool]:
        """(how the program ended, did it soon?) Below 0 it was never started: the number of the error that the machine is
        to blame for."""
        be_on(self._everywhere)
        try:
            program = _started(request, descriptors)
        except OSError as trouble:
            return -(trouble.errno or errno.EIO), True
        if program is None:
            return _CANT_BE_RUN, True
        is_short = _ends_soon(program)
        if not is_short:  # what is said on the line from now on, but for how this one ended, is for the next one
            os.write(taken, b"t")
        return _status_of(program), is_short


def rehearse() -> None:
    """The interpreter adapts its code when it has run a few times (PEP 659): here once, not in a copy for each cell."""
    request = b"\0".join((b"/", b"", b"1", b"/bin/true", b"PATH", b"/bin"))
    packd, line = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stage = Cells([kernel.nothing()] * _STEPS, line, sorted(os.sched_getaffinity(0)))
    for _ in range(_TIMES):
        nothing = os.open("/dev/null", os.O_RDWR)
        socket.send_fds(packd, [request], [nothing, nothing])
        packd.send(b"\n")
        stage._carried_out(*stage.asked(), nothing)
        os.close(nothing)
    packd.close()
    line.close()


# --- making it -------------------------------------------------------------------------------------------------------


def steps(walls: dict[str, Any]) -> Iterator[Callable[[], object]]:
    """One after another, from the fork until the process is held to what its program is held to."""
    yield kernel.dying_with_parent(signal.SIGKILL)
    yield kernel.having_default(signal.SIGCHLD)
    yield os.setsid
    yield kernel.unsharing(kernel.CLONE_NEWNS | kernel.CLONE_NEWIPC)
    yield kernel.mounting("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    yield from _mounting_own(walls)
    if walls["known_as"]:
        yield partial(_be_known_as, *walls["known_as"])
    if walls["user"] is not None:
        yield partial(os.setgroups, [])
        yield partial(os.setgid, walls["group"])
        yield partial(os.setuid, walls["user"])
    yield kernel.giving_up_rights()
    yield kernel.gaining_no_rights()
    yield kernel.hiding_from_own_user()
    yield kernel.filtering_calls(bytes.fromhex(walls["filter"]))


def _mounting_own(walls: dict[str, Any]) -> Iterator[Callable[[], object]]:
    """Over what the walls have in the same places; nobody but the program's own processes will see it."""
    yield kernel.mounting("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    if walls["user"] is None and not walls["known_as"]:  # else nothing in there is for the program to write
        for part in _CLOSED_PARTS:
            if os.access(f"/proc/{part}", os.W_OK):
                yield partial(_close_part, f"/proc/{part}")
    if walls["below_own"]:
        yield partial(_mount_around, walls["below_own"], tuple(_mounting_empty(walls["own"])))
    else:
        yield from _mounting_empty(walls["own"])


def _mounting_empty(own: list[dict[str, Any]]) -> Iterator[Callable[[], object]]:
    covering: list[str] = []
    for mount in own:
        path: str = mount["path"]
        if any(path.startswith(f"{outer}/") for outer in covering):
            yield partial(_make_folder, path)
        yield kernel.mounting_tmpfs(path, size=mount["size"], mode=mount["mode"])
        covering.append(path)


def _mount_around(kept: list[str], mounting: tuple[Callable[[], object], ...]) -> None:
    """What will be covered, and has to be seen all the same, is brought back."""
    usual = os.umask(0o022)
    covered = [(path, os.open(path, os.O_PATH | os.O_CLOEXEC)) for path in kept]
    for mount in mounting:
        mount()
    for path, descriptor in covered:
        kernel.make_place(f"/proc/self/fd/{descriptor}", path)
        kernel.bind(f"/proc/self/fd/{descriptor}", path)
        os.close(descriptor)
    os.umask(usual)


def _make_folder(path: str) -> None:
    usual = os.umask(0o022)
    os.makedirs(path, 0o755, exist_ok=True)
    os.umask(usual)


def _close_part(path: str) -> None:
    kernel.bind(path, path)
    kernel.restrict(path, read_only=True, below=False)


def _be_known_as(user: int, group: int) -> None:
    kernel.be_known_as(user, group)
    kernel.drop_bounding_set()  # a new user namespace begins with every right
    kernel.forbid_nested_users()


# --- the program -----------------------------------------------------------------------------------------------------


def _started(request: bytes, descriptors: list[int]) -> int | None:
    """The program's process; None when there is no such thing, which it says itself. Raises OSError when the machine
    can't start anything just now.

    Of the request, between zero bytes: the working directory, by which numbers the program expects the descriptors behind
    the first two, how many words its command line has, these, and name after value of its environment. Not by subprocess:
    each cell would run its code once.
    """
    cwd, kept, count, *words = request.split(b"\0")
    most = int(count)
    argv, env = words[:most], dict(zip(words[most::2], words[most + 1 :: 2], strict=True))
    if kept:
        descriptors = _placed([int(place) for place in kept.split(b",")], descriptors)
    out, err = descriptors[:2]
    streams = (_TO_DEVICE, (os.POSIX_SPAWN_DUP2, out, 1), (os.POSIX_SPAWN_DUP2, err, 2))
    try:
        os.chdir(cwd)  # this process is nowhere else
        path = argv[0] if b"/" in argv[0] else _found(argv[0], env)
        program = os.posix_spawn(path, argv, env, file_actions=streams, setsid=True, setsigdef=_TAKEN_BY_PYTHON)
    except OSError as trouble:
        if trouble.errno in _OF_THE_MACHINE:
            raise
        os.write(err, b"%s: %s\n" % (argv[0], str(trouble.strerror).encode()))
        return None
    for descriptor in set(descriptors):
        if descriptor > 2:
            os.close(descriptor)
    return program


def _placed(places: list[int], descriptors: list[int]) -> list[int]:
    """Those of its output out of the way of the others, and these where the program expects them."""
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FREE) for descriptor in descriptors]
    for descriptor in set(descriptors):
        os.close(descriptor)
    out, err, *kept = moved
    for place, descriptor in zip(places, kept, strict=True):
        os.dup2(descriptor, place)
        os.close(descriptor)
    return [out, err, *places]


def _found(name: bytes, environ: dict[bytes, bytes]) -> bytes:
    """A program's path, as a shell finds it."""
    folders = environ.get(b"PATH", os.fsencode(os.defpath)).split(b":")
    places = (os.path.join(folder, name) for folder in folders)
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


def _end_all_others() -> int:
    """When this returns, nothing that the program left is alive; how many there were."""
    left = 0
    try:
        os.kill(-1, signal.SIGKILL)
        while True:
            _, status = os.wait()
            left += os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    except (ProcessLookupError, ChildProcessError):
        return left


def be_on(processors: list[int]) -> None:
    """This process, and what it starts, runs on these."""
    try:
        os.sched_setaffinity(0, processors)
    except OSError:  # the machine has lost them
        return
